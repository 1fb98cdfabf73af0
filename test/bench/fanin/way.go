package main

import (
	"fmt"
	"sync"
	"testing"
)

// capacity is how many items wait at most, in every queue but the first.
const capacity = 128 * batchSize

// producers are the numbers of them that are compared.
var producers = []int{1, 4, 16, 64, 256, 1024, 4096}

// way is one way to hand items over.
type way struct {
	name string // in the output
	size int    // items in one put
	new  func() queue
}

var ways = []way{
	{"channel of items, 128 deep", 1, func() queue { return newItemChannel(128) }},
	{"channel of items, 8,192 deep", 1, func() queue { return newItemChannel(capacity) }},
	{"channel of batches of 64", batchSize, func() queue { return newBatchChannel(capacity / batchSize) }},
	{"swapped buffer, 1 an append", 1, func() queue { return newSwapped(capacity) }},
	{"swapped buffer, 64 an append", batchSize, func() queue { return newSwapped(capacity) }},
}

// benchmark sends b.N items from n producers to one consumer. One operation is one item.
func (w way) benchmark(b *testing.B, n int) {
	q := w.new()
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		share := b.N / n
		if i < b.N%n {
			share++
		}
		running.Go(func() {
			<-start
			w.produce(q, i, share)
		})
	}
	b.ReportAllocs()
	b.ResetTimer()
	close(start)
	go func() { running.Wait(); q.close() }() // ends with the last producer, which the consumer below waits for
	if got := consume(q); got != b.N {
		panic(fmt.Sprintf("%s: %d items of %d arrived", w.name, got, b.N)) // a figure would mean nothing
	}
}

// produce puts count items of one producer.
func (w way) produce(q queue, from, count int) {
	payload := new([64]byte)
	payload[0] = 1
	items := make([]item, w.size)
	for i := range items {
		items[i] = item{from: from, payload: payload}
	}
	for count > 0 {
		now := min(count, w.size)
		q.put(items[:now])
		count -= now
	}
}

// consume takes all there is, and touches each payload as whoever applies an item would.
func consume(q queue) (total int) {
	add := func(items []item) {
		for _, i := range items {
			total += int(i.payload[0])
		}
	}
	for q.take(add) {
	}
	return total
}

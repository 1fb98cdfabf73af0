package main

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// One operation is one item from one of the producers to the consumer.
func BenchmarkFanIn(b *testing.B) {
	for _, w := range ways {
		for _, n := range producers {
			b.Run(fmt.Sprintf("%s/producers=%d", w.name, n), func(b *testing.B) { w.benchmark(b, n) })
		}
	}
}

// Whatever the way, everything arrives once and each producer's items in its order: without that, comparing the times
// is pointless.
func TestEachWayKeepsEveryItemInOrder(t *testing.T) {
	const n, each = 8, 50_000
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			q := w.new()
			var running sync.WaitGroup
			for from := range n {
				running.Go(func() { count(q, from, each, w.size) })
			}
			go func() { running.Wait(); q.close() }()
			next := [n]byte{}
			total := 0
			for q.take(func(items []item) {
				for _, i := range items {
					if got := i.payload[0]; got != next[i.from] {
						t.Errorf("producer %d: item %d came when %d was due", i.from, got, next[i.from])
					}
					next[i.from]++
					total++
				}
			}) {
			}
			assert.Equal(t, n*each, total)
		})
	}
}

// count puts numbered items, size at a time. The numbers go round at 256.
func count(q queue, from, total, size int) {
	for i := 0; i < total; {
		items := make([]item, 0, size)
		for ; len(items) < size && i < total; i++ {
			items = append(items, item{from: from, payload: &[64]byte{byte(i)}})
		}
		q.put(items)
	}
}

// A producer that finds the queue full waits: a queue without a bound would win every comparison until memory ends.
func TestEachWayIsBounded(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := w.new()
				const total = 2 * capacity
				put := 0
				go func() {
					for ; put < total; put += w.size {
						q.put(make([]item, w.size))
					}
					q.close()
				}()
				synctest.Wait()
				assert.Positive(t, put)
				assert.LessOrEqual(t, put, capacity)
				got := 0
				for q.take(func(items []item) { got += len(items) }) {
				}
				assert.Equal(t, total, got)
			})
		})
	}
}

//go:build soak

package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/conchmq/conch/internal/harness"
)

// roundKind is what happens in the middle of a round.
type roundKind int

const (
	calm        roundKind = iota // nothing more than what happens all the time
	killing                      // SIGKILL, and a restart
	partition                    // the link to the island goes down, and up again
	stopping                     // SIGSTOP, and SIGCONT: the process misses some time
	terminating                  // SIGTERM, and a restart
)

// roundKinds are played in turn.
var roundKinds = []roundKind{calm, killing, partition, stopping, terminating}

const (
	roundTopics      = 5
	socketPublishers = 10   // each way in both dialects
	roundPublishers  = 14   // and by HTTP/1.1 and HTTP/2, one message in a request and many
	roundPosts       = 80   // messages of one that waits for the answer to each
	roundMessages    = 1200 // of each publisher
	roundListeners   = 12
	roundResumers    = 9 // each medium, and some that come back late
)

// round is one check of the order: subscribers, then publishers, then one last message, which ends it.
type round struct {
	*run
	number    int
	kind      roundKind
	prefix    string
	window    *window
	messages  atomic.Int64  // acknowledged so far
	published chan struct{} // closed when no publisher goes on

	mu           sync.Mutex
	acknowledged []string
}

// round plays one round and checks it. Everything of it is over when it returns.
func (s *run) round(number int) {
	r := &round{
		run: s, number: number, kind: roundKinds[number%len(roundKinds)], prefix: fmt.Sprintf("soak:%d:", number),
		window: newWindow(256 << 10), published: make(chan struct{}),
	}
	witness, err := r.subscribe(subscription{all: true, dialect: resp2, by: direct, witness: true})
	if err != nil {
		s.report.fail("round %d: the witness: %v", number, err)
		return
	}
	listeners := []*listener{witness}
	for i := range roundListeners {
		// A connection that the proxy cuts before it has subscribed is none that could miss something.
		if l, err := r.subscribe(r.draw(i)); err == nil {
			listeners = append(listeners, l)
		}
	}
	for i := range roundResumers {
		if l, err := r.subscribeResumer(r.drawResumer(i)); err == nil {
			listeners = append(listeners, l)
		}
	}
	var listening, publishing, fault sync.WaitGroup
	for _, l := range listeners {
		listening.Go(l.listen)
	}
	for i := range roundPublishers {
		publishing.Go(func() { r.publish(i) })
	}
	fault.Go(r.fault)
	publishing.Wait()
	r.window.open() // whoever waits for it waits for nothing
	close(r.published)
	fault.Wait()
	finished, stop := context.WithCancel(context.Background())
	var finishing sync.WaitGroup
	if !r.restarts() {
		finishing.Go(func() {
			for r.finish(); pause(finished, 500*time.Millisecond); {
				r.finish() // what is kept is soon overtaken: one that comes back later gets this one
			}
		})
	}
	listening.Wait()
	stop()
	finishing.Wait()
	r.judge(listeners)
	if r.restarts() {
		r.comeBack(listeners)
	}
	for _, l := range listeners {
		l.shut()
	}
}

// restarts tells whether every connection ends in this round.
func (r *round) restarts() bool { return r.kind == killing || r.kind == terminating }

// fault waits until the round is half over and does what its kind says.
func (r *round) fault() {
	r.half()
	switch r.kind {
	case killing:
		r.target.restart(syscall.SIGKILL)
		r.report.add(rowKilled, 1)
	case terminating:
		r.target.restart(syscall.SIGTERM)
		r.report.add(rowTerminated, 1)
	case stopping:
		p := r.target.current().cmd.Process
		r.stops.Add(1)
		defer r.stops.Add(1)
		if p.Signal(syscall.SIGSTOP) == nil {
			pause(context.Background(), 2*time.Second)
			_ = p.Signal(syscall.SIGCONT) // should it fail, everything else does
			r.report.add(rowStopped, 1)
		}
	case partition:
		if r.near == nil {
			return
		}
		if err := r.near.down(); err != nil {
			r.report.fail("%v", err)
			return
		}
		pause(context.Background(), 2*time.Second)
		if err := r.near.up(); err != nil {
			r.report.fail("%v", err)
		}
		r.report.add(rowPartition, 1)
	}
}

// half waits until half of the messages are published, or nobody publishes any more.
func (r *round) half() {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for r.messages.Load() < ((roundPublishers-2)*roundMessages+2*roundPosts)/2 {
		select {
		case <-r.published:
			return
		case <-ticker.C:
		}
	}
}

// finish publishes the last message of the round.
func (r *round) finish() {
	w, err := r.dial(direct)
	if err != nil {
		r.report.fail("round %d: no connection for the last message: %v", r.number, err)
		return
	}
	defer w.shut()
	if _, err := w.ask(harness.RESP("PUBLISH", r.prefix+"end", harness.Payload(0, 0, 0))); err != nil {
		r.report.fail("round %d: the last message: %v", r.number, err)
	}
}

// judge holds what everybody got against what the witness got.
func (r *round) judge(listeners []*listener) {
	witness := listeners[0]
	if !witness.stayed && !r.restarts() {
		r.report.fail("round %d: the witness was disconnected: %v", r.number, witness.err)
	}
	o, violations := newOrder(witness.got, witness.stayed)
	unaccounted, more := o.missing(r.acknowledged)
	r.complain(append(violations, more...))
	r.report.add(rowUnaccounted, int64(unaccounted))
	for _, l := range listeners {
		v := o.check(l.got, l.name, l.stayed)
		switch {
		case l.mute != "" && l.stayed:
			n := l.counted()
			r.report.add(rowCounted, int64(n))
			v.unaccounted -= n
		case l.mute != "":
			v.undelivered += v.unaccounted // the count went with the connection
			v.unaccounted = 0
		}
		r.report.add(rowDelivered, int64(v.received))
		r.report.add(rowReported, int64(v.reported))
		r.report.add(rowUndelivered, int64(v.undelivered))
		r.report.add(rowUnaccounted, int64(v.unaccounted))
		if v.unaccounted != 0 {
			r.report.fail("round %d, %v: %d messages unaccounted for, %d received", r.number, l.subscription, v.unaccounted, v.received)
		}
		r.complain(append(v.violations, l.violations...))
		if l.parted {
			r.report.add(rowParted, 1)
		}
	}
	r.report.add(rowPublished, int64(len(r.acknowledged)))
}

func (r *round) complain(violations []string) {
	r.report.add(rowViolations, int64(len(violations)))
	for _, v := range violations {
		r.report.fail("round %d: %s", r.number, v)
	}
}

// comeBack connects everybody again, as clients do after a restart.
func (r *round) comeBack(listeners []*listener) {
	var coming sync.WaitGroup
	for _, l := range listeners {
		coming.Go(func() {
			for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause(context.Background(), 10*time.Millisecond) {
				w, err := r.dial(l.by)
				if err != nil {
					continue
				}
				answer, err := w.ask("PING\n")
				w.shut()
				if err == nil && answer == "+PONG\r\n" {
					r.report.add(rowReturned, 1)
					return
				}
			}
			r.report.fail("round %d: %v did not get back in", r.number, l.subscription)
		})
	}
	coming.Wait()
}

// publish sends one publisher's messages in batches, and notes which are acknowledged. It gives up when its connection
// ends.
func (r *round) publish(i int) {
	if i >= socketPublishers {
		r.post(i)
		return
	}
	rng := r.rng("publisher", r.number*roundPublishers+i)
	by := way(i) % ways
	w, err := r.dial(by)
	if err != nil {
		return // the proxy, or a partition; those who come directly are noticed by the promised messages
	}
	defer w.shut()
	lines := i/int(ways)%2 == 1
	if i%2 == 1 && !r.asWriter(w) {
		return
	}
	id := r.number*roundPublishers + i + 1 // 0 is the last message's
	for number := 0; number < roundMessages; {
		var batch strings.Builder
		var ids []string
		for range min(1+rng.IntN(100), roundMessages-number) {
			topic, payload := r.message(rng, id, number)
			ids = append(ids, fmt.Sprintf("%d-%d", id, number))
			number++
			if lines {
				batch.WriteString("PUB " + topic + " " + payload + "\n")
			} else {
				batch.WriteString(harness.RESP("PUBLISH", topic, payload))
			}
		}
		r.window.take(batch.Len())
		if w.send(batch.String()) != nil || !r.replies(w, ids) {
			r.window.give(batch.Len()) // if they came through all the same, the window is a little wider from now on
			return
		}
	}
}

// replies reads as many acknowledgements as messages were sent.
func (r *round) replies(w *wire, ids []string) bool {
	for _, id := range ids {
		answer, err := w.frame()
		if err != nil {
			return false
		}
		if !strings.HasPrefix(answer, ":") && !strings.HasPrefix(answer, "OK PUB ") {
			r.complain([]string{fmt.Sprintf("a publish was answered %q", answer)})
		}
		r.acknowledge(id)
	}
	return true
}

// message draws the topic, and the payload with its size, of one message.
func (r *round) message(rng *rand.Rand, publisher, number int) (topic, payload string) {
	size := rng.IntN(200)
	if rng.IntN(50) == 0 {
		size = rng.IntN(40_000)
	}
	return r.topic(rng.IntN(roundTopics)), harness.Payload(publisher, number, size)
}

// acknowledge notes a message that conch has acknowledged.
func (r *round) acknowledge(id string) {
	r.messages.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acknowledged = append(r.acknowledged, id)
}

func (r *round) topic(n int) string { return fmt.Sprint(r.prefix, n) }

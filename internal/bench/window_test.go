package bench

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// A publisher waits for the slowest subscriber, but not for messages of other publishers.
func TestWindowWaitsForTheSlowest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(2, 3, 100)
		returned := false
		go func() {
			lowest, ok := w.await(1, 10, nil)
			assert.True(t, ok)
			assert.Equal(t, 10, lowest)
			returned = true
		}()
		for _, tell := range []struct{ subscriber, publisher, got int }{
			{0, 1, 10}, {1, 1, 9}, {2, 1, 30}, {1, 0, 50}, {1, 1, 9}, {0, 1, 12},
		} {
			w.report(w.of(tell.subscriber), tell.publisher, tell.got)
			synctest.Wait()
			assert.False(t, returned, "%+v", tell)
		}
		w.report(w.of(1), 1, 10)
		synctest.Wait()
		assert.True(t, returned)
	})
}

func TestWindowStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(1, 1, 1)
		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		_, ok := w.await(0, 1, stop)
		assert.False(t, ok)
	})
}

// In a spread load, only the subscribers of a message's topic count. Publisher 1 begins with topic 1.
func TestWindowOfASpreadLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(2, 6, 100)
		w.topics = 3
		returned := false
		go func() {
			lowest, ok := w.awaitSpread(1, 1, 2, nil) // message 1: topic 2, subscribers 2 and 5
			assert.True(t, ok)
			assert.Equal(t, 2, lowest)
			returned = true
		}()
		for _, tell := range []struct{ subscriber, publisher, got int }{{2, 1, 4}, {0, 1, 30}, {5, 0, 30}, {5, 1, 1}} {
			w.report(w.of(tell.subscriber), tell.publisher, tell.got)
			synctest.Wait()
			assert.False(t, returned, "%+v", tell)
		}
		w.report(w.of(5), 1, 4)
		synctest.Wait()
		assert.True(t, returned)
	})
}

// No wake-up is lost in any interleaving.
func TestWindowUnderLoad(t *testing.T) {
	const publishers, subscribers, messages = 3, 4, 5000
	w := newWindow(publishers, subscribers, 9)
	var running sync.WaitGroup
	type to struct{ publisher, got int }
	var sockets [subscribers]chan to
	for s := range subscribers {
		sockets[s] = make(chan to, publishers*messages)
		running.Go(func() {
			for range publishers * messages {
				m := <-sockets[s]
				w.report(w.of(s), m.publisher, m.got)
			}
		})
	}
	for p := range publishers {
		running.Go(func() {
			for n := range messages {
				_, ok := w.await(p, n-2, nil)
				assert.True(t, ok)
				for s := range subscribers {
					sockets[s] <- to{p, n + 1}
				}
			}
		})
	}
	running.Wait()
}

package store

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// woken is how often the ticker has woken.
func (t *ticker) woken() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wakes
}

// ticking runs a ticker in a bubble of synctest. Each tick sends when it came, since the beginning.
func ticking(t *testing.T, test func(k *ticker, ticks <-chan time.Duration, in func(time.Duration) time.Time)) {
	synctest.Test(t, func(*testing.T) {
		k, stop, ended, ticks := newTicker(), make(chan struct{}), make(chan struct{}), make(chan time.Duration, 100)
		start := time.Now()
		go func() {
			defer close(ended)
			k.run(stop, func() { ticks <- time.Since(start) })
		}()
		test(k, ticks, func(d time.Duration) time.Time { return start.Add(d) })
		close(stop)
		<-ended
	})
}

func TestATickComesAtTheDeadline(t *testing.T) {
	ticking(t, func(k *ticker, ticks <-chan time.Duration, in func(time.Duration) time.Time) {
		k.set(in(time.Minute))
		assert.Equal(t, time.Minute, <-ticks)
		k.set(in(time.Second)) // past
		assert.Equal(t, time.Minute, <-ticks)
		k.set(in(time.Hour))
		synctest.Wait()
		k.set(in(2 * time.Minute)) // earlier than what was set
		assert.Equal(t, 2*time.Minute, <-ticks)
		k.set(in(time.Hour))
		synctest.Wait()
		k.set(in(2 * time.Hour)) // later
		assert.Equal(t, 2*time.Hour, <-ticks)
		assert.Empty(t, ticks)
	})
}

// A ticker wakes for deadlines alone: once for each, and once more where an earlier one comes, or one is taken back.
func TestAnIdleTickerNeverWakes(t *testing.T) {
	ticking(t, func(k *ticker, ticks <-chan time.Duration, in func(time.Duration) time.Time) {
		<-time.After(24 * time.Hour)
		synctest.Wait()
		assert.Zero(t, k.woken())
		k.set(in(25 * time.Hour))
		<-ticks
		synctest.Wait()
		assert.Equal(t, 2, k.wakes, "it was armed, and came")
		k.set(in(26 * time.Hour))
		synctest.Wait()
		k.set(time.Time{})
		<-time.After(24 * time.Hour)
		synctest.Wait()
		assert.Equal(t, 4, k.wakes, "what was taken back wakes it once")
		<-time.After(24 * time.Hour)
		assert.Equal(t, 4, k.woken())
		for range 1000 {
			k.set(time.Time{})
		}
		synctest.Wait()
		assert.Equal(t, 4, k.woken())
		assert.Empty(t, ticks)
	})
}

// Deadlines that are set at any speed cost a wake at most for each that is earlier than all before.
func TestLaterDeadlinesDoNotWake(t *testing.T) {
	ticking(t, func(k *ticker, ticks <-chan time.Duration, in func(time.Duration) time.Time) {
		k.set(in(time.Second))
		synctest.Wait()
		for i := range 1000 {
			k.set(in(time.Second + time.Duration(i)*time.Millisecond))
		}
		synctest.Wait()
		assert.Equal(t, 1, k.woken())
		assert.Equal(t, 1999*time.Millisecond, <-ticks)
		synctest.Wait()
		assert.Equal(t, 3, k.woken())
	})
}

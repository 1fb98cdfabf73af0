package log

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the rewriter reads and writes takes as long as the rate demands. The clock is one of the test.
func TestCompactRate(t *testing.T) {
	for _, rate := range []int64{0, 64 << 10} {
		synctest.Test(t, func(t *testing.T) {
			e := halfDead(t, Options{Files: NewMemory(0), SegmentSize: 1 << 20, Recent: 1, CompactRate: rate})
			start := time.Now()
			require.NoError(t, e.giveBack())
			stats := e.Stats()
			require.NotZero(t, stats.Rewritten)
			took, work := time.Since(start), stats.RewriteReadBytes+stats.RewrittenBytes
			t.Logf("%d bytes read and written in %v", work, took)
			if rate == 0 {
				assert.Zero(t, took)
			} else {
				assert.InDelta(t, float64(work)/float64(rate), took.Seconds(), float64(2*rewriteBuffer)/float64(rate)*float64(stats.Rewritten))
			}
			require.NoError(t, e.Close())
		})
	}
}

// A rewriter that waits for its rate ends at once when the log is closed, and leaves no file behind.
func TestCloseDoesNotWaitForTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := halfDead(t, Options{Files: NewMemory(0), SegmentSize: 1 << 20, Recent: 1, CompactRate: 1})
		start, done := time.Now(), make(chan error)
		go func() { done <- e.giveBack() }()
		synctest.Wait()
		close(e.closed)
		require.NoError(t, <-done)
		assert.Zero(t, time.Since(start))
		assert.Zero(t, e.Stats().Rewritten)
		e.requireFiles(t)
		e.closed = make(chan struct{})
		require.NoError(t, e.Close())
	})
}

// The rewriter does not wait while the disk is full or Reset waits, and not for that later.
func TestAFullDiskIsNotPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := halfDead(t, Options{Files: NewMemory(0), SegmentSize: 1 << 20, Recent: 1, CompactRate: 1})
		start := time.Now()
		e.full.Store(true)
		assert.True(t, e.throttle(1<<30))
		e.full.Store(false)
		e.rewriter.hurries.Add(1)
		assert.True(t, e.throttle(1<<30))
		e.rewriter.hurries.Add(-1)
		assert.Zero(t, time.Since(start))
		assert.True(t, e.throttle(5))
		assert.Equal(t, 5*time.Second, time.Since(start))
		require.NoError(t, e.Close())
	})
}

// Few entries that die are looked for a minute later, once; a log in which none dies never wakes.
func TestFewDeadEntriesAreLookedForLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := halfDead(t, Options{Files: NewMemory(0), SegmentSize: 1 << 20, Recent: 1})
		var looks atomic.Int64 // the rewriter counts on
		e.o.Live = func(spans []Span) []Span { looks.Add(1); return e.live(spans) }
		<-e.rewriter.wake // of CutHead
		e.goroutine.Go(e.runRewriter)
		<-time.After(lookAfter)
		for range 100 {
			e.Died()
			synctest.Wait()
		}
		assert.Zero(t, looks.Load())
		<-time.After(lookAfter)
		synctest.Wait()
		assert.NotZero(t, e.Stats().Rewritten)
		looks.Store(0)
		<-time.After(10 * lookAfter)
		synctest.Wait()
		assert.Zero(t, looks.Load())
		require.NoError(t, e.Close())
	})
}

// halfDead is a log of some segments of which half is visible.
func halfDead(t *testing.T, o Options) *entries {
	e := openEntries(t, newRand(t), o)
	for range 5000 {
		e.append(400, 1)
	}
	e.cutHead(t)
	require.NoError(t, e.awaitSyncer())
	for n := uint64(1); n <= e.last[1]; n += 10 {
		e.remove(1, n, n+4)
	}
	return e
}

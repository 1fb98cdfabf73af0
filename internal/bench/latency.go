package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Resolution and maximum of the histograms; a longer latency counts as the maximum.
const (
	latencyUnit = 100 * time.Nanosecond
	latencyMax  = 10 * time.Minute
)

func newHistogram(digits int) *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(latencyMax/latencyUnit), digits)
}

// record adds a latency.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(int64(min(max(d, latencyUnit), latencyMax) / latencyUnit)) // in range
}

func quantile(h *hdrhistogram.Histogram, percent float64) time.Duration {
	return time.Duration(h.ValueAtPercentile(percent)) * latencyUnit
}

// shards is the number of histograms. One for each of a thousand subscribers would exceed the processor's cache; a single
// one would be a contended lock.
const shards = 8

// latencies records the latencies of all subscribers.
type latencies struct {
	shards [shards]shard
	step   *hdrhistogram.Histogram // of takeStep's callers
}

type shard struct {
	mu   sync.Mutex
	all  *hdrhistogram.Histogram // of the measured part, three digits
	step *hdrhistogram.Histogram // since the last takeStep, two digits
}

func newLatencies() *latencies {
	l := &latencies{step: newHistogram(2)}
	for i := range l.shards {
		l.shards[i].all, l.shards[i].step = newHistogram(3), newHistogram(2)
	}
	return l
}

// add records the messages of one read of a subscriber. due has their scheduled times.
func (l *latencies) add(subscriber int, due []time.Duration, now time.Duration) {
	if len(due) == 0 {
		return
	}
	s := &l.shards[subscriber%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range due {
		record(s.all, now-t)
		record(s.step, now-t)
	}
}

// takeStep returns the latencies since the last call, valid until the next call.
func (l *latencies) takeStep() *hdrhistogram.Histogram {
	l.step.Reset()
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		l.step.Merge(s.step)
		s.step.Reset()
		s.mu.Unlock()
	}
	return l.step
}

// total returns all latencies of the measured part.
func (l *latencies) total() *hdrhistogram.Histogram {
	h := newHistogram(3)
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		h.Merge(s.all)
		s.mu.Unlock()
	}
	return h
}

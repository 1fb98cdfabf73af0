package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// errStopped ends a goroutine of a run that another one has stopped; run.failure has the reason.
var errStopped = errors.New("stopped")

// The time between two points of the timeline, for runs up to a minute and for longer ones.
const (
	stepTime     = 100 * time.Millisecond
	longStepTime = time.Second
)

// Live is the progress of a run.
type Live struct {
	Elapsed             time.Duration // since the start, warm-up included
	Of                  time.Duration // planned total
	WarmUp              bool          // not yet in the measured part
	Published           int64         // messages so far, warm-up included
	Deliveries          int64         // the same, summed over all subscribers
	PublishedPerSecond  float64       // since the last report
	DeliveriesPerSecond float64
}

// run is a running load.
type run struct {
	load        Load
	layout      *layout
	window      *window
	latencies   *latencies
	firsts      []atomic.Int64 // by publisher: number of its first measured message
	publishers  []*publisher
	subscribers []*subscriber
	began       time.Time // origin of all times

	warm      atomic.Int64  // publishers after the warm-up
	started   atomic.Int64  // start of the measured part; valid after measuring is closed
	before    usage         // of the server's process at that time; likewise
	measuring chan struct{} // closed at the start of the measured part

	stop     chan struct{} // closed at the end of the run
	stopOnce sync.Once
	failure  error // the first one; valid after stop is closed
	running  sync.WaitGroup
}

func (r *run) now() time.Duration { return time.Since(r.began) }

// measure starts the measured part at a time. Without a rate the last publisher that is ready calls it; with a rate the
// timeline does, at the time of the schedule.
func (r *run) measure(at time.Duration) {
	r.before = readUsage(r.load.PID)
	r.started.Store(int64(at))
	close(r.measuring)
}

// isMeasuring reports whether the measured part has begun.
func (r *run) isMeasuring() bool {
	select {
	case <-r.measuring:
		return true
	default:
		return false
	}
}

// end ends the run. The first reason counts; nil is success.
func (r *run) end(reason error) {
	r.stopOnce.Do(func() {
		r.failure = reason
		close(r.stop)
		r.close()
	})
}

// close closes all sockets and timers, which unblocks the goroutines of the run.
func (r *run) close() {
	for _, s := range r.subscribers {
		_ = s.sock.Close() // the run is over
	}
	for _, p := range r.publishers {
		_ = p.sock.Close()
		if p.timer != nil {
			p.timer.close()
		}
	}
}

// Run puts a load on a server and returns the result. It calls watch, which may be nil, with the progress at intervals.
//
// If the measured part has begun, an error comes with a result. Losses are no error: see Result.Lost. When ctx ends, Run
// returns the partial result and ctx's error.
func Run(ctx context.Context, l Load, watch func(Live)) (*Result, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	r := newRun(l)
	if err := r.connect(ctx); err != nil {
		r.close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	quit := context.AfterFunc(ctx, func() { r.end(ctx.Err()) })
	defer quit()
	t := newTimeline(r, cmp.Or(l.StallTime, defaultStallTime), watch)
	t.watch(r.start())
	r.running.Wait()
	return t.result()
}

// newRun prepares a run of a checked load.
func newRun(l Load) *run {
	r := &run{
		load: l, layout: newLayout(&l), window: newWindow(l.Publishers, l.Subscribers, l.InFlight),
		latencies: newLatencies(), firsts: make([]atomic.Int64, l.Publishers),
		stop: make(chan struct{}), measuring: make(chan struct{}),
	}
	r.window.topics = r.layout.stride
	for i := range r.firsts {
		r.firsts[i].Store(notMeasured)
	}
	return r
}

// connect opens all connections. When it returns, every subscription is confirmed.
func (r *run) connect(ctx context.Context) error {
	for i := range r.load.Subscribers {
		topics := r.layout.topics
		if r.load.Spread {
			topics = topics[i%len(topics):][:1]
		}
		sock, already, err := r.open(ctx, topics)
		if err != nil {
			return err
		}
		s := &subscriber{
			parser: newParser(r.layout, r.firsts, r.load.Rate > 0), number: i, sock: sock, prefetched: already, row: r.window.of(i),
		}
		s.follow(i)
		for p := range s.from {
			s.row[p].got.Store(int64(s.from[p].next))
		}
		r.subscribers = append(r.subscribers, s)
	}
	for i := range r.load.Publishers {
		sock, already, err := r.open(ctx, nil)
		if err != nil {
			return err
		}
		p := &publisher{
			frames: newFrames(r.layout, i, min(r.load.Pipeline, r.window.share)), sock: sock, prefetched: already,
			first: &r.firsts[i], done: make(chan struct{}), lateness: newHistogram(2),
		}
		p.expectedReplies.Store(-1)
		r.publishers = append(r.publishers, p)
		if r.load.Rate > 0 {
			if p.timer, err = newPreciseTimer(); err != nil {
				return err
			}
		}
	}
	return r.startRaw()
}

// open opens one connection and subscribes to topics.
func (r *run) open(ctx context.Context, topics []string) (net.Conn, []byte, error) {
	c, err := r.load.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := c.subscribe(topics); err != nil {
		c.drop()
		return nil, nil, err
	}
	return c.done()
}

// startRaw sends the role of publishers to a relay.
func (r *run) startRaw() error {
	if r.load.Dialect != Raw {
		return nil
	}
	for _, p := range r.publishers {
		if _, err := p.sock.Write([]byte("pub\n")); err != nil {
			return fmt.Errorf("publisher %d: %w", p.publisher, closedBy(err))
		}
	}
	return nil
}

// start starts all goroutines. The channel is closed when all publishers have ended.
func (r *run) start() <-chan struct{} {
	r.began = time.Now()
	for _, s := range r.subscribers {
		r.running.Go(func() { r.endOnError(s.read(r)) })
	}
	var publishing sync.WaitGroup
	for _, p := range r.publishers {
		r.running.Go(func() { r.endOnError(p.countReplies(r.load.Dialect)) })
		publishing.Go(func() { r.endOnError(p.publish(r)) })
	}
	published := make(chan struct{})
	r.running.Go(func() {
		publishing.Wait()
		close(published)
	})
	return published
}

func (r *run) endOnError(err error) {
	if err != nil {
		r.end(err)
	}
}

// progress sums up the counters of a run.
type progress struct {
	published, deliveries, replies int64
	missing                        int64 // deliveries and replies that have not arrived
}

func (r *run) progress() progress {
	var g progress
	for _, p := range r.publishers {
		sent, answered := p.sent.Load(), p.answered.Load()
		g.published += sent
		g.replies += answered
		if r.load.Dialect.replies() {
			g.missing += max(0, sent-answered)
		}
	}
	for i := range r.window.cells {
		g.deliveries += r.layout.countOf(0, r.window.cells[i].got.Load())
	}
	g.missing += g.published*int64(r.load.receivers()) - g.deliveries
	return g
}

// lastDelivery is the time of the latest delivery.
func (r *run) lastDelivery() time.Duration {
	last := slices.MaxFunc(r.subscribers, func(a, b *subscriber) int { return int(a.last.Load() - b.last.Load()) })
	return time.Duration(last.last.Load())
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// errStopped is what a goroutine of a run ends with when the run was stopped from elsewhere. The reason is there.
var errStopped = errors.New("stopped")

// stallTime is how long nothing may arrive while something is missing. What is missing then counts as lost.
const stallTime = 5 * time.Second

// The time between two points of the timeline, of a run that takes up to a minute and of a longer one.
const (
	stepTime     = 100 * time.Millisecond
	longStepTime = time.Second
)

// Live is how far a run is.
type Live struct {
	Elapsed             time.Duration // since the load began, warm-up included
	Of                  time.Duration // what that is planned to be in the end
	WarmUp              bool          // nothing counts yet
	Published           int64         // messages so far, warm-up included
	Deliveries          int64         // the same, of all subscribers together
	PublishedPerSecond  float64       // since the last report
	DeliveriesPerSecond float64
}

// run is a load that is being put on a server.
type run struct {
	load        Load
	layout      *layout
	window      *window
	latencies   *latencies
	firsts      []atomic.Int64 // by publisher: its first measured message
	publishers  []*publisher
	subscribers []*subscriber
	began       time.Time // all times count from here

	warm      atomic.Int64  // publishers that have ended the warm-up
	started   atomic.Int64  // when the measured part began; read it after measuring
	before    usage         // of the server's process, then; the same
	measuring chan struct{} // closed when the measured part begins

	stop     chan struct{} // closed when the run is over, for whatever reason
	stopOnce sync.Once
	failure  error // the first one; read it after wait
	running  sync.WaitGroup
}

func (r *run) now() time.Duration { return time.Since(r.began) }

// measure begins the measured part, whose time counts from at. It is called once: without a rate by the last publisher
// that is ready, with a rate, where the time is in the schedule, by the timeline.
func (r *run) measure(at time.Duration) {
	r.before = readUsage(r.load.PID)
	r.started.Store(int64(at))
	close(r.measuring)
}

// isMeasuring tells whether the measured part has begun.
func (r *run) isMeasuring() bool {
	select {
	case <-r.measuring:
		return true
	default:
		return false
	}
}

// end ends the run. Only the first reason counts; nil is the good end.
func (r *run) end(reason error) {
	r.stopOnce.Do(func() {
		r.failure = reason
		close(r.stop)
		r.close()
	})
}

// close closes all that goroutines of the run wait for.
func (r *run) close() {
	for _, s := range r.subscribers {
		_ = s.sock.Close() // what comes after the end is not wanted
	}
	for _, p := range r.publishers {
		_ = p.sock.Close()
		if p.timer != nil {
			p.timer.close()
		}
	}
}

// Run puts a load on a server and returns what it did. watch, which may be nil, is told now and then how far it is.
//
// With an error there is a result as well if the measured part had begun. Losses are no error: see Result.Lost. When
// ctx ends, Run returns what there is, and ctx's error.
func Run(ctx context.Context, l Load, watch func(Live)) (*Result, error) {
	return runLoad(ctx, l, stallTime, watch)
}

func runLoad(ctx context.Context, l Load, stall time.Duration, watch func(Live)) (*Result, error) {
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
	t := newTimeline(r, stall, watch)
	t.watch(r.start())
	r.running.Wait()
	return t.result()
}

// newRun prepares a run of a load that has been checked.
func newRun(l Load) *run {
	r := &run{
		load: l, layout: newLayout(&l), window: newWindow(l.Publishers, l.Subscribers, l.InFlight),
		latencies: newLatencies(), firsts: make([]atomic.Int64, l.Publishers),
		stop: make(chan struct{}), measuring: make(chan struct{}),
	}
	for i := range r.firsts {
		r.firsts[i].Store(notMeasured)
	}
	return r
}

// connect makes all connections. When it returns, every subscription is confirmed.
func (r *run) connect(ctx context.Context) error {
	for i := range r.load.Subscribers {
		sock, already, err := r.open(ctx, r.layout.topics)
		if err != nil {
			return err
		}
		r.subscribers = append(r.subscribers, &subscriber{
			parser: newParser(r.layout, r.firsts, r.load.Rate > 0), number: i, sock: sock, prefetched: already, row: r.window.of(i),
		})
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

// open makes one connection and subscribes it to some topics.
func (r *run) open(ctx context.Context, topics []string) (net.Conn, []byte, error) {
	c, err := dial(ctx, r.load.Address, r.load.Dialect)
	if err != nil {
		return nil, nil, err
	}
	if err := c.subscribe(topics); err != nil {
		c.drop()
		return nil, nil, err
	}
	return c.done()
}

// startRaw tells a bare relay which connections are publishers.
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

// start starts all goroutines. The channel is closed when all publishers are done, for good or ill.
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

// progress is how far a run is, summed up.
type progress struct {
	published, deliveries, replies int64
	missing                        int64 // messages that subscribers still have to get, and replies
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
		g.deliveries += r.window.cells[i].got.Load()
	}
	g.missing += g.published*int64(r.load.Subscribers) - g.deliveries
	return g
}

// lastDelivery is when the last subscriber got the last message so far.
func (r *run) lastDelivery() time.Duration {
	last := slices.MaxFunc(r.subscribers, func(a, b *subscriber) int { return int(a.last.Load() - b.last.Load()) })
	return time.Duration(last.last.Load())
}

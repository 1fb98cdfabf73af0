package local

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/filter"
)

// maxDelivery bounds the bytes of messages that are read ahead for a sink, but for one message.
const maxDelivery = 1 << 20

// retryAfter is the time after which what reads for a sink begins again behind an error of conch.
const retryAfter = time.Second

// outlet is the connect.Outlet of one sink. Next and Done are the sink's goroutine's. Two goroutines read ahead, one delivery each: one for
// plain topics, and one for durable ones. watch is their owner, and Close waits for it.
type outlet struct {
	broker *Broker
	connect.OutletOptions
	where   *filter.Predicate // of entries; plain topics leave it to the core
	read    chan *delivery
	stop    context.CancelFunc
	stopped chan struct{} // closed when all goroutines have ended
	rest    *delivery     // what Next has not returned of a delivery
	acks    *acks         // of what is done of durable topics

	mu             sync.Mutex // guards what follows
	counts         connect.OutletCounts
	plain          connect.OutletCounts // of the subscriptions that have ended
	open           *subscription        // the one there is, nil without one
	undone         uint64               // messages of plain topics that were read, and are not done
	failed         map[kind]error       // why nothing comes for now
	unacknowledged error                // why acknowledgements fail for now
	flying         []*delivery          // durable ones that were passed on, and are not acknowledged
	done           uint64               // messages of these that are done
}

// kind is that of topics.
type kind bool

const (
	plain   kind = false
	durable kind = true
)

// delivery is some messages of one kind.
type delivery struct {
	connect.Delivery
	kind     kind
	ids      []string // of durable messages, their entries
	filtered []entryID
	whole    *delivery // of which it is a part, or itself
	left     int       // of a whole one: messages that are not done; the outlet's mutex guards it, and isDone
	isDone   bool      // Done has come for it
}

// entryID names an entry.
type entryID struct{ stream, id string }

// OpenOutlet implements connect.Broker.
func (b *Broker) OpenOutlet(_ context.Context, o connect.OutletOptions) (connect.Outlet, error) {
	out := &outlet{broker: b, OutletOptions: o, read: make(chan *delivery), stopped: make(chan struct{}), failed: make(map[kind]error)}
	if o.Where != "" {
		where, err := filter.Compile(o.Where, filter.Limits{})
		if err != nil {
			return nil, err //nolint:wrapcheck // it says all
		}
		out.where = where
	}
	ctx, stop := context.WithCancel(context.Background())
	out.stop, out.acks = stop, newAcks(out)
	go out.watch(ctx)
	return out, nil
}

// watch has the readers read, and begin again when other topics become durable.
func (o *outlet) watch(ctx context.Context) {
	defer close(o.stopped)
	for ctx.Err() == nil {
		change := o.broker.service.DurableChange()
		reading, end := context.WithCancel(ctx)
		var readers sync.WaitGroup
		if o.mayBePlain() {
			readers.Go(func() { o.repeat(reading, plain, o.readPlain) })
		}
		if o.mayBeDurable() {
			readers.Go(func() { o.repeat(reading, durable, o.readGroups) })
		}
		select {
		case <-change:
		case <-ctx.Done():
		}
		end()
		readers.Wait()
	}
}

// mayBePlain reports whether the sink's topic matches names that are not durable.
func (o *outlet) mayBePlain() bool {
	globs := o.broker.service.DurableTopics()
	if isLiteral(o.Topic) {
		return !globs.Match([]byte(o.Topic), new(broker.Matcher))
	}
	return !globs.Covers(o.Topic)
}

// mayBeDurable reports whether it may match names that are.
func (o *outlet) mayBeDurable() bool {
	globs := o.broker.service.DurableTopics()
	if isLiteral(o.Topic) {
		return globs.Match([]byte(o.Topic), new(broker.Matcher))
	}
	return globs.MayMeet(o.Topic)
}

// isLiteral reports whether a glob matches itself alone.
func isLiteral(glob string) bool {
	for i := range len(glob) {
		switch glob[i] {
		case '*', '?', '[', '\\':
			return false
		}
	}
	return true
}

// repeat reads until the context ends, and again after an error.
func (o *outlet) repeat(ctx context.Context, k kind, read func(context.Context) error) {
	for {
		err := read(ctx)
		if ctx.Err() != nil {
			return
		}
		o.setFailed(k, err)
		timer := time.NewTimer(retryAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// setFailed notes why nothing comes, nil if something does.
func (o *outlet) setFailed(k kind, err error) {
	if errors.Is(err, errEnded) {
		err = nil // it reads again
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed[k] = err
}

// setUnacknowledged notes why acknowledgements fail, nil once one is there.
func (o *outlet) setUnacknowledged(err error) {
	if errors.Is(err, errEnded) {
		err = nil // there is another try
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unacknowledged = err
}

// pass passes a delivery to Next, and counts its messages as on their way.
func (o *outlet) pass(ctx context.Context, d *delivery) error {
	d.whole, d.left = d, len(d.Messages)
	o.begin(d)
	select {
	case o.read <- d:
		return nil
	case <-ctx.Done():
		o.end(d, d.left, false)
		o.giveUp(d)
		return context.Cause(ctx)
	}
}

func (o *outlet) begin(d *delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if d.kind == plain {
		o.undone += uint64(d.left)
		return
	}
	o.counts.Matched += uint64(d.left)
	o.counts.Pending += uint64(d.left)
	o.flying = append(o.flying, d)
}

// end counts so many messages of a delivery as on their way no longer. Those of durable topics are done, or were never given to Next.
func (o *outlet) end(d *delivery, n int, isDone bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if d.kind == plain {
		o.undone -= uint64(n)
		return
	}
	o.counts.Pending -= uint64(n)
	if isDone {
		o.done -= uint64(n)
	}
	if d.whole.left -= n; d.whole.left == 0 {
		o.flying = slices.DeleteFunc(o.flying, func(other *delivery) bool { return other == d.whole })
	}
}

// giveUp counts the messages of a delivery that Next never got: those of durable topics come again.
func (o *outlet) giveUp(d *delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := uint64(len(d.Messages)); d.kind == plain {
		o.plain.Lost += n
	} else {
		o.counts.Matched -= n
	}
}

// flyingOf are the entries of a stream that were passed on, and are not acknowledged.
func (o *outlet) flyingOf(stream string) map[string]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := make(map[string]bool)
	for _, d := range o.flying {
		for i, id := range d.ids {
			if d.Messages[i].Topic == stream {
				ids[id] = true
			}
		}
	}
	return ids
}

// errClosed is the error of an outlet that is closed.
var errClosed = errors.New("the sink is closed")

// Next implements connect.Outlet.
func (o *outlet) Next(ctx context.Context, most int) (*connect.Delivery, error) {
	for o.rest == nil {
		if err := o.failure(); err != nil {
			return nil, err
		}
		timer := time.NewTimer(retryAfter) // to look whether reading has failed
		select {
		case o.rest = <-o.read:
		case <-timer.C:
		case <-o.broker.service.Stopping():
			timer.Stop()
			return nil, errStopping
		case <-o.stopped:
			timer.Stop()
			return nil, errClosed
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		timer.Stop()
		if o.rest != nil && len(o.rest.Messages) == 0 { // the predicate has held all back
			d := o.rest
			o.rest = nil
			if err := o.acks.add(ctx, d); err != nil {
				return nil, err
			}
		}
	}
	d := o.rest
	if o.rest = nil; len(d.Messages) > most {
		d, o.rest = d.split(most)
	}
	d.Handle = d
	return &d.Delivery, nil
}

func (o *outlet) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return cmp.Or(o.failed[plain], o.failed[durable], o.unacknowledged)
}

// split cuts a delivery in two.
func (d *delivery) split(n int) (first, rest *delivery) {
	first, rest = &delivery{kind: d.kind, whole: d.whole}, &delivery{kind: d.kind, whole: d.whole, filtered: d.filtered}
	first.Messages, rest.Messages = d.Messages[:n:n], d.Messages[n:]
	if d.Tries != nil {
		first.Tries, rest.Tries = d.Tries[:n:n], d.Tries[n:]
	}
	if d.kind == durable {
		first.ids, rest.ids = d.ids[:n:n], d.ids[n:]
	}
	return first, rest
}

// Done implements connect.Outlet.
func (o *outlet) Done(ctx context.Context, given *connect.Delivery) error {
	d, ok := given.Handle.(*delivery)
	if !ok {
		return errors.New("a delivery of another outlet")
	}
	if d.kind == plain {
		o.end(d, len(d.Messages), true)
		return nil
	}
	o.countDone(d)
	return o.acks.add(ctx, d)
}

// Written implements connect.Outlet.
func (o *outlet) Written(given *connect.Delivery, messages int) {
	d, ok := given.Handle.(*delivery)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if d.kind == plain {
		o.undone -= uint64(messages) //nolint:gosec // a count
	} else if !d.isDone {
		o.done += uint64(messages) //nolint:gosec // a count
	}
}

// countDone counts a delivery that the other side has, once: behind an error Done comes again.
func (o *outlet) countDone(d *delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !d.isDone {
		d.isDone = true
		o.done += uint64(len(d.Messages))
	}
}

// Close implements connect.Outlet.
func (o *outlet) Close() {
	o.stop()
	<-o.stopped
	o.acks.close()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flying = nil
	o.counts.Matched -= o.counts.Pending - o.done // they come again; those that are done count twice then, as sent, too
	o.done = 0
	o.counts.Pending, o.counts.Lag = 0, 0
	o.plain.Lost += o.undone
	o.undone = 0
}

// Counts implements connect.Outlet.
func (o *outlet) Counts() connect.OutletCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.counts
	c.Matched, c.Filtered, c.Lost = c.Matched+o.plain.Matched, c.Filtered+o.plain.Filtered, c.Lost+o.plain.Lost
	c.Pending += o.undone
	if o.open != nil {
		now := o.open.counts()
		c.Matched, c.Filtered, c.Lost, c.Pending = c.Matched+now.Matched, c.Filtered+now.Filtered, c.Lost+now.Lost, c.Pending+now.Pending
	}
	return c
}

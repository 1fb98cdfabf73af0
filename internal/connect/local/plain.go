package local

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/stream"
)

// subscription is the connection that a sink has for plain topics. The outlet's mutex guards the numbers.
type subscription struct {
	conn    *conn
	read    uint64 // messages that were passed on
	skipped uint64 // those of durable topics, which come from groups
	// filtered are those that the predicate held back, as of the last look.
	filtered uint64
	// isSubscribed: what is published from then on comes.
	isSubscribed bool
	durable      *stream.Globs // as of its start
}

// counts are those of a subscription at one moment: what is neither read nor lost waits.
func (s *subscription) counts() (c connect.OutletCounts) {
	all := s.conn.Outbox().Counts()
	c.Lost = uint64(all.Dropped + all.Undelivered)                            //nolint:gosec // counts
	c.Matched = max(uint64(all.Matched), c.Lost+s.read+s.skipped) - s.skipped //nolint:gosec // a count
	c.Pending = c.Matched - c.Lost - s.read
	c.Filtered = s.filtered
	return c
}

// readPlain subscribes, and passes messages on until an error.
func (o *outlet) readPlain(ctx context.Context) error {
	c, err := o.broker.open("connector:" + o.Name)
	if err != nil {
		return err
	}
	s := &subscription{conn: c, durable: o.broker.service.DurableTopics()}
	o.setOpen(s)
	defer o.endOpen(s)
	defer o.countFiltered(ctx, s)()
	name := o.Topic
	if o.Where != "" {
		name += " WHERE " + o.Where
	}
	if _, err := c.do(ctx, "CLIENT", "SETNAME", "sink:"+o.Name); err != nil {
		return err
	}
	if _, err := c.do(ctx, "PSUBSCRIBE", name); err != nil {
		return err
	}
	o.mu.Lock()
	s.isSubscribed = true
	o.mu.Unlock()
	o.setFailed(plain, nil)
	matcher := new(broker.Matcher)
	for {
		d, skipped, err := o.readMessages(ctx, c, func(topic []byte) bool {
			matcher.Steps = 0
			return s.durable.Match(topic, matcher)
		})
		if err != nil {
			return err
		}
		o.mu.Lock()
		s.read, s.skipped = s.read+uint64(len(d.Messages)), s.skipped+skipped
		o.mu.Unlock()
		if len(d.Messages) == 0 {
			continue
		}
		if err := o.pass(ctx, d); err != nil {
			return err
		}
	}
}

// countFiltered looks each second how many messages the predicate has held back, which is known to the core alone, and once more when the
// function that it returns ends that. The core counts messages of durable topics, too: if the sink may have both, nothing is counted.
func (o *outlet) countFiltered(ctx context.Context, s *subscription) (end func()) {
	if o.Where == "" || o.mayBeDurable() {
		return func() {}
	}
	look := func() {
		n := s.conn.HeldBack()
		o.mu.Lock()
		defer o.mu.Unlock()
		s.filtered = max(s.filtered, n) // a connection that conch has ended has no subscription any more
	}
	ctx, cancel := context.WithCancel(ctx)
	var looks sync.WaitGroup
	looks.Go(func() {
		for wait(ctx, blockedTime) == nil {
			look()
		}
	})
	return func() {
		cancel()
		looks.Wait()
		look()
	}
}

// readMessages waits for a message, and returns it with those that follow without a wait.
func (o *outlet) readMessages(ctx context.Context, c *conn, isDurable func(topic []byte) bool) (d *delivery, skipped uint64, err error) {
	d = &delivery{}
	epoch := o.broker.service.Epoch()
	for size := 0; ; {
		v, err := c.value(ctx)
		if err != nil {
			return nil, 0, err
		}
		push, ok := v.([]any)
		if !ok || len(push) == 0 || string(asText(push[0])) != "pmessage" {
			continue // a loss, which the outbox counts
		}
		if len(push) < 5 {
			return nil, 0, fmt.Errorf("a defect in a message: %d elements", len(push))
		}
		topic, payload := asText(push[2]), asText(push[3])
		if isDurable(topic) {
			skipped++
		} else {
			number, _ := push[4].(int64)
			d.Messages = append(d.Messages, connect.Message{
				Topic: string(topic), Payload: payload, ID: string(position.Append(nil, epoch, uint64(number))), Time: time.Now(), //nolint:gosec // a count
			})
			size += len(payload)
		}
		if c.in.Buffered() == 0 || size >= maxDelivery {
			return d, skipped, nil
		}
	}
}

func asText(v any) []byte {
	b, _ := v.([]byte)
	return b
}

func (o *outlet) setOpen(s *subscription) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = s
}

// endOpen ends a subscription: what waits for it is lost.
func (o *outlet) endOpen(s *subscription) {
	s.conn.close()
	o.mu.Lock()
	defer o.mu.Unlock()
	last := s.counts()
	o.open = nil
	o.plain.Matched += last.Matched
	o.plain.Filtered += last.Filtered
	o.plain.Lost += last.Lost + last.Pending
}

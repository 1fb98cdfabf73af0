package connect

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"

	"github.com/stretchr/testify/assert"
)

// fakeBroker is conch's side in the tests: it keeps what was published, and fails as chance has it.
type fakeBroker struct {
	t       assert.TestingT
	chance  *chance
	durable bool

	mu        sync.Mutex
	published []Message
	positions map[string]map[string]string // by connector and partition
	outlets   map[string]*fakeOutlet
	dropped   []string
}

// chance fails now and then. A nil one never does.
type chance struct {
	mu sync.Mutex
	r  *rand.Rand
	in int // one of so many calls fails; 0 is none
}

var errChance = errors.New("chance")

func (c *chance) strikes() bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in > 0 && c.r.IntN(c.in) == 0
}

func (c *chance) number(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(n)
}

func (b *fakeBroker) ID() string { return "b1" }

func (b *fakeBroker) OpenInput(_ context.Context, o InputOptions) (Input, error) {
	if b.chance.strikes() {
		return nil, errChance
	}
	return &fakeInput{broker: b, name: o.Name}, nil
}

func (b *fakeBroker) OpenOutlet(_ context.Context, o OutletOptions) (Outlet, error) {
	if b.chance.strikes() {
		return nil, errChance
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	outlet := b.outlets[o.Name]
	outlet.open = true
	return outlet, nil
}

func (b *fakeBroker) DropPositions(_ context.Context, name string) (had bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropped = append(b.dropped, name)
	_, had = b.positions[name]
	delete(b.positions, name)
	return had, nil
}

// to returns what was published to a topic.
func (b *fakeBroker) to(topic string) (payloads []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.published {
		if m.Topic == topic {
			payloads = append(payloads, string(m.Payload))
		}
	}
	return payloads
}

func (b *fakeBroker) has(payload string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.published, func(m Message) bool { return string(m.Payload) == payload })
}

type fakeInput struct {
	broker *fakeBroker
	name   string
	broken error
}

func (i *fakeInput) Positions() map[string]string {
	i.broker.mu.Lock()
	defer i.broker.mu.Unlock()
	found := make(map[string]string)
	for partition, position := range i.broker.positions[i.name] {
		found[partition] = position
	}
	return found
}

func (i *fakeInput) Durable(string) bool { return i.broker.durable }
func (i *fakeInput) Close()              {}

// Publish takes a part of the messages if chance strikes, and breaks the input.
func (i *fakeInput) Publish(messages []Message) *Receipt {
	receipt, result := NewReceipt(), Result{}
	if i.broken != nil {
		receipt.Resolve(Result{Err: i.broken})
		return receipt
	}
	count := len(messages)
	if i.broker.chance.strikes() {
		i.broken = errChance
		count = i.broker.chance.number(count)
		result.Err = errChance
	}
	b := i.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, m := range messages[:count] {
		if m.Topic == "refused" {
			result.Rejected = append(result.Rejected, Rejected{k, &RejectedError{"it is refused"}})
			continue
		}
		b.published = append(b.published, m)
		result.Published++
		if m.Partition != "" && b.durable {
			if b.positions[i.name] == nil {
				b.positions[i.name] = make(map[string]string)
			}
			b.positions[i.name][m.Partition] = m.Position
		}
	}
	go receipt.Resolve(result)
	return receipt
}

// fakeSource is another system with a queue of messages: what was not acknowledged comes again. It fails, and panics, as chance has it.
type fakeSource struct {
	t         assert.TestingT
	chance    *chance
	messages  []Message
	positions bool                // it has positions, and does not know what was acknowledged
	effective func(*Message) bool // whether a message has taken effect

	mu      sync.Mutex
	acked   int
	next    int
	refused []int
	open    bool
	waits   bool // Read waits at the end, instead of ErrEnd
	starts  []Start
}

func (s *fakeSource) Connect(_ context.Context, start Start) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts = append(s.starts, start)
	if s.chance.strikes() {
		return errChance
	}
	assert.False(s.t, s.open)
	s.open, s.next = true, s.acked
	if s.positions {
		s.next = 0
		if position, ok := start.Positions["p"]; ok {
			n, err := strconv.Atoi(position)
			assert.NoError(s.t, err)
			s.next = n + 1
		}
	}
	return nil
}

func (s *fakeSource) Read(ctx context.Context) (Batch, error) {
	s.mu.Lock()
	if s.chance.strikes() {
		s.mu.Unlock()
		if s.chance.number(2) == 0 {
			panic("a defect")
		}
		return Batch{}, errChance
	}
	if s.next == len(s.messages) {
		ended := s.acked == s.next || s.positions
		s.mu.Unlock()
		if !ended || s.waits {
			<-ctx.Done()
			return Batch{}, ctx.Err()
		}
		return Batch{}, ErrEnd
	}
	defer s.mu.Unlock()
	first := s.next
	s.next = min(len(s.messages), first+1+s.size())
	batch := Batch{Messages: slices.Clone(s.messages[first:s.next])}
	batch.Ack = s.acknowledge(first, s.next)
	return batch, nil
}

func (s *fakeSource) size() int {
	if s.chance == nil {
		return 0
	}
	return s.chance.number(5)
}

func (s *fakeSource) acknowledge(first, next int) func(context.Context, error) error {
	return func(_ context.Context, err error) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		assert.True(s.t, s.open, "an ack on a connection that is closed")
		if !s.positions {
			assert.LessOrEqual(s.t, first, s.acked, "an ack before an earlier one")
		}
		for i := first; i < next; i++ {
			assert.True(s.t, s.effective(&s.messages[i]), "message %d is acknowledged and has not taken effect", i)
		}
		if refused := (*Refused)(nil); errors.As(err, &refused) {
			for _, i := range refused.Indices {
				s.refused = append(s.refused, first+i)
			}
		}
		if s.chance.strikes() {
			return errChance
		}
		s.acked = max(s.acked, next)
		if s.acked == len(s.messages) && !s.waits && !s.positions {
			// The next Read ends the source; the one that waits is ended here, as a connection that breaks would.
			return errChance
		}
		return nil
	}
}

func (s *fakeSource) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = false
	if s.chance.strikes() {
		return errChance
	}
	return nil
}

// fakeOutlet has messages for a sink, each until it is done.
type fakeOutlet struct {
	t       assert.TestingT
	durable bool
	done    func(*Message) bool // the other side has it, or dead letters have

	mu       sync.Mutex
	open     bool
	waiting  []Message
	carried  []Message // delivered and not done
	tries    map[string]int
	written  int // of carried
	counts   OutletCounts
	changed  chan struct{}
	failDone *chance
}

func newFakeOutlet(t assert.TestingT, messages []Message, durable bool) *fakeOutlet {
	return &fakeOutlet{t: t, durable: durable, waiting: messages, changed: make(chan struct{}, 1), tries: make(map[string]int)}
}

func (o *fakeOutlet) Next(ctx context.Context, most int) (*Delivery, error) {
	for {
		o.mu.Lock()
		if len(o.waiting) > 0 {
			defer o.mu.Unlock()
			n := min(most, len(o.waiting))
			d := &Delivery{Messages: slices.Clone(o.waiting[:n])}
			for _, m := range d.Messages {
				d.Tries = append(d.Tries, o.tries[m.ID])
				o.tries[m.ID]++
			}
			o.carried = append(o.carried, o.waiting[:n]...)
			o.waiting = o.waiting[n:]
			o.counts.Matched += uint64(n)
			o.counts.Pending += uint64(n)
			return d, nil
		}
		o.mu.Unlock()
		select {
		case <-o.changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (o *fakeOutlet) Done(_ context.Context, d *Delivery) error {
	if o.failDone.strikes() {
		return errChance
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range d.Messages {
		assert.True(o.t, o.done(&d.Messages[i]), "%s is done, and nobody has it", d.Messages[i].Payload)
	}
	o.carried = o.carried[len(d.Messages):]
	o.counts.Pending -= uint64(len(d.Messages))
	return nil
}

func (o *fakeOutlet) Written(_ *Delivery, messages int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.written = messages
}

func (o *fakeOutlet) Counts() OutletCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts
}

// Close begins anew for the next outlet of the sink: the counts that it had are read before that.
func (o *fakeOutlet) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = false
	o.counts.Pending -= uint64(len(o.carried))
	n := uint64(len(o.carried) - o.written) //nolint:gosec // a count
	o.written = 0
	if o.durable {
		o.waiting = append(o.carried, o.waiting...)
		o.counts.Matched -= n
	} else {
		o.counts.Lost += n
	}
	o.carried = nil
}

// fakeSink is another system that messages are written to: payloads that begin with ! are poison to it.
type fakeSink struct {
	chance *chance

	mu      sync.Mutex
	open    bool
	written []Message
	writes  map[string]int // by payload
}

func (s *fakeSink) Connect(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chance.strikes() {
		return errChance
	}
	s.open = true
	return nil
}

func (s *fakeSink) Write(_ context.Context, batch []Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chance.strikes() {
		if s.chance.number(3) == 0 {
			panic("a defect")
		}
		if s.chance.number(2) == 0 {
			return errChance // it has taken nothing
		}
		_ = s.take(batch)
		return fmt.Errorf("taken, and then: %w", errChance)
	}
	return s.take(batch)
}

func (s *fakeSink) take(batch []Message) error {
	var refused []int
	for i, m := range batch {
		s.writes[string(m.Payload)]++
		if m.Payload[0] == '!' {
			refused = append(refused, i)
			continue
		}
		s.written = append(s.written, m)
	}
	if len(refused) > 0 {
		return &Refused{Indices: refused, Err: errors.New("poison")}
	}
	return nil
}

func (s *fakeSink) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = false
	return nil
}

func (s *fakeSink) has(payload string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.written, func(m Message) bool { return string(m.Payload) == payload })
}

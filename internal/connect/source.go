package connect

import (
	"context"
	"sync"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/filter"
)

// inFlightBytes bounds the payloads of a source that have not taken effect yet, beside its bound on their number; one batch always goes.
const inFlightBytes = 16 << 20

// via is the header with the ids of all conchs that a message came through.
const via = "conch-via"

// sourceLife carries messages from a driver to an input. The connector's goroutine owns it, but for what acknowledger says.
type sourceLife struct {
	plan    *Plan
	broker  Broker
	account *account
	log     zerolog.Logger
	limit   int
	driver  Source // nil before the first connection, and after a panic
	message filter.Message
	view    headers // of message
}

// taken is a batch on its way: from the reading goroutine to the acknowledging one.
type taken struct {
	batch   Batch
	sent    []Message // what was published, in its order: messages and dead letters
	receipt *Receipt  // nil if nothing was
	isDead  []bool    // of sent: it is a dead letter
	held    uint64    // messages that were held back
	looped  uint64    // of these, those that conch sent out itself
	dead    uint64    // messages given up
	index   []int     // of sent: the index in the batch
	refused *Refused  // those given up without a topic for dead letters
	size    size
}

// size is what a batch takes of the bounds.
type size struct{ messages, bytes int }

func (s *sourceLife) release()                 {}
func (s *sourceLife) addTo(*command.Connector) {}

// connect is one connection: this goroutine reads, a second one acknowledges.
func (s *sourceLife) connect(ctx context.Context, running func()) error {
	input, err := s.broker.OpenInput(ctx, InputOptions{Name: s.plan.Name})
	if err != nil {
		return err
	}
	defer input.Close()
	if s.driver == nil {
		if s.driver, err = s.plan.target.System.Source(s.plan.address(s.limit, s.plan.warnTo(&s.log))); err != nil {
			return err
		}
	}
	start := Start{Durable: input.Durable(s.plan.topic.glob())}
	if start.Durable {
		start.Positions = input.Positions()
	}
	panicked, err := s.plan.connection(ctx, func(ctx context.Context) error { return s.driver.Connect(ctx, start) }, func() error {
		running()
		return s.carry(ctx, input)
	}, s.driver.Close)
	if panicked {
		s.driver = nil
	}
	return err
}

// carry reads until an error, and waits for what is outstanding.
func (s *sourceLife) carry(ctx context.Context, input Input) error {
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	f := &flight{
		outstanding: make(chan *taken, s.plan.InFlight), ended: make(chan size, s.plan.InFlight), most: size{s.plan.InFlight, inFlightBytes},
	}
	a := &acknowledger{life: s, input: input, stop: stop, ended: f.ended}
	var second sync.WaitGroup
	second.Go(func() { a.run(ctx, f.outstanding) })
	err := s.read(reading, a, f)
	close(f.outstanding)
	second.Wait()
	if cause := context.Cause(reading); ctx.Err() == nil && cause != nil {
		return cause // why the second goroutine has ended the first
	}
	return err
}

// read reads and publishes, within the bound on what is in flight.
func (s *sourceLife) read(ctx context.Context, a *acknowledger, f *flight) error {
	for {
		if err := f.room(ctx); err != nil {
			return err
		}
		var batch Batch
		err := guard(func() (err error) { batch, err = s.driver.Read(ctx); return err })
		if err != nil {
			return err
		}
		t := s.prepare(batch)
		f.size.messages += t.size.messages
		f.size.bytes += t.size.bytes
		s.account.update(func(row *command.Connector) { row.Pending += uint64(len(batch.Messages)) })
		if len(t.sent) > 0 {
			t.receipt = a.publish(t.sent)
		}
		f.outstanding <- t // it has room: each batch counts as one message at least
	}
}

// flight bounds what was read and is not acknowledged. The reading goroutine owns it; the other side of its channels is the acknowledger's.
type flight struct {
	size, most  size
	outstanding chan *taken
	ended       chan size
}

// room waits until there is some.
func (f *flight) room(ctx context.Context) error {
	for {
		full := f.size.messages >= f.most.messages || f.size.bytes >= f.most.bytes
		if !full {
			select {
			case s := <-f.ended:
				f.take(s)
				continue
			default:
				return context.Cause(ctx)
			}
		}
		select {
		case s := <-f.ended:
			f.take(s)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (f *flight) take(s size) {
	f.size.messages -= s.messages
	f.size.bytes -= s.bytes
}

// prepare decides what becomes of each message of a batch.
func (s *sourceLife) prepare(batch Batch) *taken {
	t := &taken{batch: batch, sent: make([]Message, 0, len(batch.Messages)), size: size{messages: max(1, len(batch.Messages))}}
	for i := range batch.Messages {
		m := batch.Messages[i]
		t.size.bytes += sizeOf(&m)
		topic, err := s.plan.topic.Expand(&m, nil)
		m.Topic = topic
		switch {
		case s.isOwn(&m):
			t.held++
			t.looped++
			continue
		case s.plan.where != nil && !s.matches(&m):
			t.held++
			continue
		case err == nil && len(m.Payload) > s.limit:
			err = &RejectedError{"its payload is larger than max-payload"}
		case err == nil && len(m.Topic) > maxTopic:
			err = &RejectedError{"its topic is too long"}
		}
		if err != nil {
			s.giveUp(t, i, m, err)
			continue
		}
		t.add(i, m, false)
	}
	return t
}

func (t *taken) add(index int, m Message, isDead bool) {
	t.sent = append(t.sent, m)
	t.index = append(t.index, index)
	t.isDead = append(t.isDead, isDead)
}

// giveUp makes a dead letter of a message, or counts it if there is no topic for them.
func (s *sourceLife) giveUp(t *taken, index int, m Message, err error) {
	s.log.Debug().Err(err).Int("messages", 1).Msg("messages of a connector are given up")
	t.dead++
	if s.plan.Dead != "" && len(m.Payload) <= s.limit {
		t.add(index, deadLetter(m, s.plan.Dead, "conch-dead-source", s.plan.Name, err), true)
		return
	}
	t.refuse(index, err)
}

func (t *taken) refuse(index int, err error) {
	if t.refused == nil {
		t.refused = &Refused{Err: err}
	}
	t.refused.Indices = append(t.refused.Indices, index)
}

// isOwn reports whether this conch has sent the message out.
func (s *sourceLife) isOwn(m *Message) bool {
	passed, ok := m.Header(via)
	return ok && hasPassed(passed, s.broker.ID())
}

// matches judges a message. One without a topic, because its template lacks a part, is judged as if its topic were empty.
func (s *sourceLife) matches(m *Message) bool {
	s.view.m = m
	s.message.ResetSource([]byte(m.Topic), &s.view, filter.Limits{})
	return s.plan.where.Match(&s.message) == filter.Yes
}

// headers is a message as predicates see it.
type headers struct{ m *Message }

func (h *headers) Size() int       { return len(h.m.Payload) }
func (h *headers) Payload() []byte { return h.m.Payload }

func (h *headers) Header(name string) (text []byte, ok bool) {
	value, ok := h.m.Header(name)
	return []byte(value), ok
}

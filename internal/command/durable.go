package command

import (
	"math"
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// A durable topic has the name of a stream: what is published is appended there, and what is appended by XADD reaches the
// subscribers. Both have one instant, and one number of the order.

// keep keeps a publish at its instant, on the core's goroutine: that to a durable topic as an entry, others among the latest
// messages, if these are kept.
func (s *Service) keep(v broker.View, m *broker.Message) {
	switch {
	case s.streams.state.IsDurable(m.Topic):
		s.streams.publish(v, m)
	case s.recent != nil:
		s.keepRecent(m)
	}
}

// publish appends a publish, and has its reply and deliveries wait for the log. Its connection has admitted it: see durableError.
func (s *streams) publish(v broker.View, m *broker.Message) {
	s.beginRound(v)
	_ = s.appendRun(v, m.Topic, m.Payloads, m.Sequence) // durableError has excluded that it fails
	if run, ok := m.Tag.(*feedRun); ok {
		run.keepPositions(v)
	}
	m.Barrier = s.barrier()
	s.endCommand(v)
}

// barrier is the record that frames wait for which depend on all changes so far; 0 if they need not wait.
func (s *streams) barrier() uint64 {
	if s.isBehind() {
		return s.newest()
	}
	return 0
}

// holdFor makes the next frames of a connection wait for a record; 0 is none.
func (e *executor) holdFor(record uint64) {
	if record != 0 {
		e.usesStreams().holdsFor = record
		e.queued().Hold(record)
	}
}

// durableError returns why a publish to a durable topic cannot be appended; nil for all other publishes.
func (e *executor) durableError(r *broker.Request) *protocol.Error {
	s := &e.service.streams
	if r.Op != broker.Publish || r.Kind != broker.Topic || !s.state.IsDurable(r.Names[0]) {
		return nil
	}
	if e.database != 0 {
		return errOtherDatabase
	}
	size := len(r.Names[0])
	for _, payload := range r.Payloads {
		size += len(payload)
	}
	return s.appendError(r.Names[0], size, len(r.Payloads))
}

// appendError returns why so many messages, of so many bytes together, cannot be appended to a stream.
func (s *streams) appendError(topic []byte, size, messages int) *protocol.Error {
	if err := s.usable(); err != nil {
		return err
	}
	st := s.state.Lookup(topic)
	switch {
	case !s.store.Room(size):
		return errOOM
	case st != nil && st.LastID().Ms == math.MaxUint64 && math.MaxUint64-st.LastID().Seq < uint64(messages): //nolint:gosec // a count
		return addError(stream.ErrExhausted)
	}
	return nil
}

// topicsOf returns the keys of a command that are durable topics, if the command adds entries or gets some: its user needs the rights
// to these topics, too. A stream is no way around the rights of its topic.
func (s *streams) topicsOf(row *protocol.CommandSpec, keys [][]byte) (topics [][]byte) {
	if s.state.Durable() == nil || !movesEntries[row.Name] {
		return nil
	}
	for _, key := range keys {
		if s.state.IsDurable(key) {
			topics = append(topics, key)
		}
	}
	return topics
}

// movesEntries are the commands that add entries, or get some.
var movesEntries = map[string]bool{
	"XADD": true, "XREAD": true, "XREADGROUP": true, "XRANGE": true, "XREVRANGE": true, "READ": true, "XCLAIM": true, "XAUTOCLAIM": true,
}

// rejectsDurable replies with an error if a publish cannot be appended.
func (e *executor) rejectsDurable(r *broker.Request, inv *invocation) bool {
	err := e.durableError(r)
	if err != nil {
		e.reject(inv, err)
	}
	return err != nil
}

// errNotDurable is the error of headers and idempotent ids for a topic that keeps neither.
var errNotDurable = protocol.Errorf("headers and an idempotent id need a durable topic: name it in durable")

// AddToDurableOnly makes each XADD that is sent from here on fail if its key is no durable topic. The client's goroutine calls it.
func (c *Conn) AddToDurableOnly() { c.durableOnly = true }

// liveEntry is an entry that XADD has added, on its way to subscribers. Without a sequence number there is none.
type liveEntry struct {
	topic    []byte
	fields   [][]byte
	sequence uint64
}

// deliverEntry delivers an entry to the subscribers of its topic. It is made a message once, and only if there are some.
func (w *response) deliverEntry() {
	var buf *outbox.Buffer
	h := &w.executor.service.streams.headers
	defer h.resetTexts(nil)
	w.executor.service.times.note(w.live.sequence, w.executor.service.stats.startedAt)
	m := &broker.Message{Sequence: w.live.sequence, Topic: w.live.topic, Tag: w.inv, Barrier: w.executor.service.streams.barrier()}
	w.view.Deliver(&w.executor.sub, m, func(m *broker.Message) {
		h.resetTexts(w.live.fields)
		m.Payloads = [][]byte{h.entry.Payload()}
		h.attach(m, w.live.fields)
		if !h.entry.IsWhole() { // it is not among the bytes of the command
			m.Tag = nil
			if isLarge(m) {
				buf = outbox.WrapBuffer(&w.executor.service.memory, m.Payloads[0])
				h.entry = entry.Message{} // frames keep its buffer
				m.Tag = &invocation{buf: buf}
			}
		}
	}, w.judgements)
	if !m.Named {
		w.executor.service.unnamed.note(broker.Topic, m.Topic, m.Sequence, w.executor.id)
	}
	buf.Release()
}

// appendOf returns the XADD of a request, nil if it is another command. Its entry may reach subscribers.
func appendOf(r *broker.Request) *invocation {
	if inv, ok := r.Tag.(*invocation); ok && inv.handler == handleXAdd && len(inv.args) > 1 {
		return inv
	}
	return nil
}

// publishesDurable reports whether a batch has a publish to a durable topic. The core decides what is durable: globs may change meanwhile.
func (r *Reader) publishesDurable(b *Batch) bool {
	globs := r.service.streams.durable.Load()
	if globs == nil {
		return false
	}
	var m broker.Matcher
	return slices.ContainsFunc(b.Requests, func(req broker.Request) bool {
		return req.Op == broker.Publish && req.Kind == broker.Topic && globs.Match(req.Names[0], &m)
	})
}

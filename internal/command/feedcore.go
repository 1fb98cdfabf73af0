package command

import (
	"errors"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// What follows is the core's side of a Feed.

// Admit implements [broker.Conn]: behind a failure nothing takes effect.
func (f *Feed) Admit(r *broker.Request) bool {
	run, ok := r.Tag.(*feedRun)
	if !ok {
		return true // the end of a batch
	}
	if f.failed == nil {
		f.failed = f.whyNot(run)
	}
	return f.failed == nil
}

// whyNot returns why messages cannot take effect now.
func (f *Feed) whyNot(run *feedRun) error {
	s, topic := &f.service.streams, run.messages[0].Topic
	if !s.state.IsDurable(topic) {
		if run.entry != nil {
			return errTopicsChanged
		}
		return nil
	}
	if run.hasExtras {
		return errTopicsChanged
	}
	size := len(topic)
	for i := range run.messages {
		size += len(run.messages[i].Payload)
		for _, text := range run.messages[i].Headers {
			size += len(text)
		}
	}
	if err := s.appendError(topic, size, len(run.messages)); err != nil {
		return errors.New(err.Text)
	}
	return f.positionError(run)
}

// positionError returns why the positions of a run cannot be kept.
func (f *Feed) positionError(run *feedRun) error {
	state := f.service.streams.state
	for i := range run.messages {
		m := &run.messages[i]
		switch {
		case m.Position == "":
		case len(f.name) > stream.MaxSourceName || len(m.Partition) > stream.MaxSourceText || len(m.Position) > stream.MaxSourceText:
			return stream.ErrLongPosition
		case state.SourcePositions()+len(run.messages) > stream.MaxSourcePositions && state.SourcePosition(f.name, m.Partition) == nil:
			return stream.ErrManyPartitions
		}
	}
	return nil
}

// Published implements [broker.Conn].
func (f *Feed) Published(r *broker.Request, messages int, m *broker.Message) {
	b := r.Tag.(*feedRun).batch
	f.notePublished(m, messages)
	b.result.Published += messages
	b.record = max(b.record, m.Barrier)
}

// notePublished records when messages were published, by the clock of the sweeper, and where.
func (f *Feed) notePublished(m *broker.Message, messages int) {
	f.service.times.note(m.Sequence, time.Duration(f.service.clock.Load()))
	if !m.Named {
		f.service.unnamed.note(broker.Topic, m.Topic, m.Sequence+uint64(messages)-1, f.sub.ID) //nolint:gosec // a count
	}
}

// Reply implements [broker.Conn]: it appends an entry with headers or an id, or ends a batch.
func (f *Feed) Reply(r *broker.Request, v broker.View) {
	switch t := r.Tag.(type) {
	case *feedRun:
		f.append(t, r, v)
	case *feedBatch:
		t.result.Err = f.failed
		close(t.applied)
	}
}

// Flush implements [broker.Conn].
func (f *Feed) Flush() { f.service.streams.endRound() }

// append appends the entry of a run, keeps the position of the source in the same record, and delivers the entry.
func (f *Feed) append(run *feedRun, r *broker.Request, v broker.View) {
	s, m, b := &f.service.streams, &run.messages[0], run.batch
	s.beginRound(v)
	if run.entry.Idempotent {
		s.growWindow(v, m.Topic)
	}
	c := s.begin()
	if _, err := s.state.PlanAdd(c, m.Topic, run.entry); err != nil {
		b.result.Rejected = append(b.result.Rejected, FeedRejected{run.first, err})
		return
	}
	if c.Create && c.Idempotent {
		c.Duration, c.MaxSize = stream.MaxDuration, stream.MaxMaxSize
	}
	s.apply(v, c)
	isNew, sequence := c.Kind == stream.Add, c.Sequence
	c.Fields = nil // they are the source's
	b.result.Published++
	if !isNew {
		b.result.Repeated++
	}
	run.keepPositions(v)
	barrier := s.barrier()
	b.record = max(b.record, barrier)
	if isNew {
		live := &broker.Message{Sequence: sequence, Topic: m.Topic, Tag: run, Barrier: barrier}
		v.Deliver(&f.sub, live, func(live *broker.Message) {
			live.Payloads = [][]byte{m.Payload}
			s.headers.resetTexts(run.entry.Fields)
			s.headers.attach(live, run.entry.Fields)
		}, r.Judgements)
		f.notePublished(live, 1)
		s.headers.resetTexts(nil)
	}
	s.endCommand(v)
}

// growWindow has a stream with the first settings of its window remember the ids of a source for as long as it can. Its ids so
// far go with that, as with XCFGSET.
func (s *streams) growWindow(v broker.View, topic []byte) {
	st := s.state.Lookup(topic)
	if st == nil {
		return
	}
	if i := st.Idempotency(); i.Duration != stream.DefaultDuration || i.MaxSize != stream.DefaultMaxSize {
		return
	}
	if c := s.begin(); s.state.PlanConfigure(c, st, stream.MaxDuration, stream.MaxMaxSize) {
		s.apply(v, c)
	}
}

// keepPositions keeps how far the source has read behind the messages of a run, in the record that has just got them.
func (r *feedRun) keepPositions(v broker.View) {
	s := &r.feed.service.streams
	for i := range r.messages {
		m := &r.messages[i]
		if m.Position == "" || i+1 < len(r.messages) && r.messages[i+1].Partition == m.Partition {
			continue // a later one of the same partition follows
		}
		c := s.begin()
		if changes, err := s.state.PlanSetSourcePosition(c, r.feed.name, m.Partition, m.Position); err == nil && changes { // positionError has excluded errors
			s.apply(v, c)
		}
	}
}

package command

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/conchmq/conch/broker"
)

// On a node of a cluster a feed proposes its batches, and all nodes publish them in their place in the order.

// orderedFeed is the first byte of the body of an entry with batches of a source. No flags of an origin are the same. Behind it are the token
// of the node that runs the connectors, the source, and its batches: the number of messages, and these.
const orderedFeed = 0xf3

// maxFeedEntry is the size from which on an entry takes no further batch.
const maxFeedEntry = 1 << 20

// feedEntry is the token of such an entry.
type feedEntry struct {
	batches []*feedBatch
	done    chan struct{} // closed once it has taken effect, or is given up
	err     error         // why it was given up
}

// OpenFeed makes a Feed for the source of that name. Once it has returned, nothing takes effect that an earlier one of that name has
// published on this node, and positions are the last ones. So on a node of a cluster it waits for an entry of its own.
func (s *Service) OpenFeed(name string) (*Feed, error) {
	token, err := s.connectorToken()
	if err != nil {
		return nil, err
	}
	f := s.newFeed(name)
	f.token = token
	if s.options.Order == nil {
		go f.resolve()
		return f, nil
	}
	go f.propose()
	opened := make(chan error, 1)
	f.Publish(nil, func(r FeedResult) { opened <- r.Err })
	if err = <-opened; err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// propose proposes all batches. One entry is on its way at a time, and the next one has all that has come meanwhile: nothing is proposed behind
// a failure.
func (f *Feed) propose() {
	defer close(f.resolved)
	var failed error
	for first := range f.outstanding {
		e := &feedEntry{batches: f.gather(first), done: make(chan struct{})}
		if failed == nil {
			failed = f.proposeEntry(e)
		}
		for _, b := range e.batches {
			if failed != nil {
				b.result = FeedResult{Err: failed}
			}
			b.done(b.result)
		}
		if failed == nil {
			failed = e.batches[len(e.batches)-1].result.Err
		}
	}
}

// gather returns a batch with those that wait behind it, up to the size of an entry.
func (f *Feed) gather(first *feedBatch) []*feedBatch {
	all, size := []*feedBatch{first}, first.size()
	for size < maxFeedEntry {
		select {
		case b, ok := <-f.outstanding:
			if !ok {
				return all
			}
			all = append(all, b)
			size += b.size()
		default:
			return all
		}
	}
	return all
}

func (b *feedBatch) size() (n int) {
	for i := range b.messages {
		m := &b.messages[i]
		n += len(m.Topic) + len(m.Payload) + len(m.ID) + len(m.Partition) + len(m.Position)
		for _, text := range m.Headers {
			n += len(text)
		}
	}
	return n
}

// proposeEntry returns once an entry has taken effect. An error means that it has not, as far as this node knows.
func (f *Feed) proposeEntry(e *feedEntry) error {
	s := f.service
	if err := f.whyFull(e); err != nil {
		return err
	}
	body := f.appendBody(nil, e)
	for {
		room := s.orderRoom.wait()
		err := s.options.Order.Propose(body, e)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrOrderFull) {
			return err //nolint:wrapcheck // it says all
		}
		select {
		case <-room:
		case <-s.core.Stopped():
			return errFeedStopped
		}
	}
	select {
	case <-e.done:
		return e.err
	case <-s.core.Stopped():
		return errFeedStopped
	}
}

// whyFull is why an entry with messages to durable topics is not proposed: see Reader.noRoom.
func (f *Feed) whyFull(e *feedEntry) error {
	err := f.service.options.Order.Full()
	if err == nil {
		return nil
	}
	globs, matcher := f.service.streams.durable.Load(), new(broker.Matcher)
	for _, b := range e.batches {
		if slices.ContainsFunc(b.messages, func(m FeedMessage) bool {
			matcher.Steps = 0
			return globs.Match(m.Topic, matcher)
		}) {
			return err //nolint:wrapcheck // it says all
		}
	}
	return nil
}

func (f *Feed) appendBody(b []byte, e *feedEntry) []byte {
	b = appendLong(appendLong(append(b, orderedFeed), []byte(f.token)), []byte(f.name))
	for _, batch := range e.batches {
		b = binary.AppendUvarint(b, uint64(len(batch.messages)))
		for i := range batch.messages {
			b = batch.messages[i].append(b)
		}
	}
	return b
}

func (m *FeedMessage) append(b []byte) []byte {
	b = appendLong(appendLong(b, m.Topic), m.Payload)
	b = binary.AppendUvarint(b, uint64(len(m.Headers)))
	for _, text := range m.Headers {
		b = appendLong(b, text)
	}
	return appendLong(appendLong(appendLong(b, m.ID), []byte(m.Partition)), []byte(m.Position))
}

// feedMessage reads a message. Its bytes alias the body.
func (b *bodyReader) feedMessage() (m FeedMessage) {
	m.Topic, m.Payload = b.text(), b.text()
	m.Headers = b.texts(b.number(), nil)
	if id := b.text(); len(id) > 0 {
		m.ID = id
	}
	m.Partition, m.Position = string(b.text()), string(b.text())
	return m
}

// applyFeed publishes the batches of an entry as a feed of its own: that of the source is on another node, or waits for this.
func (a *Applier) applyFeed(e *OrderedEntry) error {
	in := bodyReader{left: e.Parts[0].Body[1:]}
	token, f := string(in.text()), a.service.newFeed(string(in.text()))
	defer a.service.feedNames.leave(f.sub.ID)
	own, _ := e.Parts[0].Token.(*feedEntry)
	var requests []broker.Request
	for n := 0; in.err == nil && len(in.left) > 0; n++ {
		b := newFeedBatch(make([]FeedMessage, in.number()), nil)
		if own != nil {
			own.batches[n].messages, b = b.messages, own.batches[n]
		}
		for i := range b.messages {
			b.messages[i] = in.feedMessage()
		}
		requests = append(f.appendRequests(requests, b), broker.Request{Tag: b})
	}
	if in.err != nil {
		return in.err
	}
	s := &a.service.streams
	if a.service.startOnCore(func(v broker.View) {
		s.beginEntry(v, e.Time)
		f.failed = a.service.checkToken(token)
	}) == nil || !a.publisher.Submit(&broker.Batch{From: &f.sub, Requests: requests}) || !a.onCore(func(v broker.View) { s.endEntry(v, e.Finish) }) {
		s.abandonEntry()
		return errCoreStopped
	}
	if own != nil {
		close(own.done)
		e.Parts[0].Token = nil
	}
	return nil
}

// lose ends the wait for an entry that is given up.
func (e *feedEntry) lose(why error) {
	e.err = why
	close(e.done)
}

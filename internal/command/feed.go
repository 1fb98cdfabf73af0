package command

import (
	"errors"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// Feed publishes what a source takes in, as the broker itself: no rule of access holds for it. It is a participant without a
// connection.
//
// A failure is final: nothing that was submitted behind it takes effect, so that no position of the source passes what was not taken.
type Feed struct {
	broker.NopConn
	service   *Service
	name      string
	sub       broker.Subscriber
	publisher *Publisher
	// outstanding are the batches that are not resolved, in their order. Publish adds to it, and Close closes it.
	outstanding chan *feedBatch
	resolved    chan struct{} // closed when resolve, or propose, has ended
	token       string        // of the node that runs connectors; empty for a broker alone

	failed error // the core's
}

// FeedMessage is one message of a source. Its bytes do not change before its batch is resolved.
type FeedMessage struct {
	Topic, Payload []byte
	// Headers are names and values in turn, which become fields of an entry.
	Headers [][]byte
	// ID is the idempotent id of an entry, nil for none.
	ID []byte
	// Position is how far the source has read in Partition, behind this message. Without a position none is kept.
	Partition, Position string
}

// FeedResult is what has become of a batch.
type FeedResult struct {
	Published, Repeated int
	Rejected            []FeedRejected // messages that are never taken; all others were
	Err                 error          // why the rest may not have taken effect
}

// FeedRejected is a message that is never taken.
type FeedRejected struct {
	Index int
	Err   error
}

const (
	maxOutstandingFeeds = 1024 // batches of one Feed
	maxFeedRun          = 128  // messages of a run, as many as commands of a read
	maxFeedRunBytes     = 64 << 10
)

// The failures of a Feed.
var (
	errFeedStopped   = errors.New("conch stops")
	errTopicsChanged = errors.New("the topic has become durable, or is no longer: the messages come again")
)

// feedBatch is a batch on its way. The core owns it until applied is closed.
type feedBatch struct {
	done     func(FeedResult)
	messages []FeedMessage // one that is rejected has no topic any more
	result   FeedResult
	record   uint64 // that the result waits for; 0 if for none
	applied  chan struct{}
	appends  bool // it has messages to durable topics, as far as Publish knows
}

func newFeedBatch(messages []FeedMessage, done func(FeedResult)) *feedBatch {
	return &feedBatch{messages: messages, done: done, applied: make(chan struct{})}
}

// feedRun is the Tag of a request: messages to one topic. One that is an entry comes alone.
type feedRun struct {
	feed     *Feed
	batch    *feedBatch
	messages []FeedMessage
	first    int // the index of the first one in its batch
	entry    *stream.AddOptions
	// hasExtras: the messages have headers, ids or positions, which a plain topic does not keep.
	hasExtras bool
}

func (s *Service) newFeed(name string) *Feed {
	f := &Feed{service: s, name: name, publisher: s.NewPublisher(), outstanding: make(chan *feedBatch, maxOutstandingFeeds), resolved: make(chan struct{})}
	f.sub.Init(f)
	f.sub.ID = s.feedNames.enter(name)
	return f
}

// Positions are by partition how far the source has read, as conch has kept it.
func (s *Service) Positions(source string) (positions map[string]string) {
	s.runOnCore(func(broker.View) {
		s.streams.state.EachSourcePosition(source, func(p *stream.SourcePosition) bool {
			if positions == nil {
				positions = make(map[string]string)
			}
			positions[p.Partition()] = p.Position()
			return true
		})
	})
	return positions
}

// positionsPerVisit bounds what one visit to the core removes.
const positionsPerVisit = 500

// DropPositions removes how far a source has read. It returns false if nothing of it was kept.
func (s *Service) DropPositions(source string) (had bool, err error) {
	for more := true; more; {
		if !s.RunOnCore(func(v broker.View) {
			if more = s.streams.hasPositions(source); more {
				had = true
				err = s.streams.dropPositions(v, source)
			}
		}) {
			return had, errFeedStopped
		}
		more = more && err == nil
	}
	return had, err
}

func (s *streams) dropPositions(v broker.View, source string) error {
	if err := s.usable(); err != nil {
		return errors.New(err.Text)
	}
	s.beginRound(v)
	s.removePositions(v, source)
	s.endCommand(v)
	s.endRound()
	return nil
}

// hasPositions reports whether a source has read anything that is kept.
func (s *streams) hasPositions(source string) (has bool) {
	s.state.EachSourcePosition(source, func(*stream.SourcePosition) bool {
		has = true
		return false
	})
	return has
}

// removePositions removes positions of a source. It returns false if there were none.
func (s *streams) removePositions(v broker.View, source string) bool {
	var some []string
	s.state.EachSourcePosition(source, func(p *stream.SourcePosition) bool {
		some = append(some, p.Partition())
		return len(some) < positionsPerVisit
	})
	for _, partition := range some {
		if c := s.begin(); s.state.PlanRemoveSourcePosition(c, source, partition) {
			s.apply(v, c)
		}
	}
	return len(some) > 0
}

// Publish submits messages in their order. done gets the result once all that took effect is as safe as its policy demands, on a
// goroutine of the Feed, and is not to wait. One goroutine calls it.
func (f *Feed) Publish(messages []FeedMessage, done func(FeedResult)) {
	b := newFeedBatch(messages, done)
	for i := range messages {
		if err := f.check(&messages[i]); err != nil {
			b.result.Rejected = append(b.result.Rejected, FeedRejected{i, err})
			messages[i] = FeedMessage{}
		}
	}
	if f.service.options.Order != nil {
		f.outstanding <- b
		return
	}
	requests := append(f.appendRequests(nil, b), broker.Request{Tag: b})
	if b.appends {
		f.service.awaitLog(&f.publisher.stopped)
	}
	f.outstanding <- b
	f.publisher.Submit(&broker.Batch{From: &f.sub, Requests: requests}) // resolve notices that it failed: the core has stopped
}

// Close waits until all batches are resolved.
func (f *Feed) Close() {
	close(f.outstanding)
	<-f.resolved
	f.service.feedNames.leave(f.sub.ID)
}

// appendRequests makes requests of the messages of a batch: successive ones to one topic are a run.
func (f *Feed) appendRequests(requests []broker.Request, b *feedBatch) []broker.Request {
	globs, matcher := f.service.streams.durable.Load(), new(broker.Matcher)
	var last *feedRun
	size, isDurable := 0, false
	messages := b.messages
	for i := range messages {
		m := &messages[i]
		if len(m.Topic) == 0 {
			last = nil
			continue
		}
		same := last != nil && string(last.messages[0].Topic) == string(m.Topic)
		if !same {
			matcher.Steps = 0
			isDurable = globs.Match(m.Topic, matcher)
			b.appends = b.appends || isDurable
		}
		isEntry := isDurable && (len(m.Headers) > 0 || m.ID != nil)
		size += len(m.Payload)
		if same && !isEntry && last.entry == nil && len(last.messages) < maxFeedRun && size <= maxFeedRunBytes {
			r := &requests[len(requests)-1]
			r.Payloads = append(r.Payloads, m.Payload)
			last.messages = messages[last.first : i+1]
			last.hasExtras = last.hasExtras || !isDurable && m.hasExtras()
			continue
		}
		last, size = &feedRun{feed: f, batch: b, messages: messages[i : i+1], first: i, hasExtras: !isDurable && m.hasExtras()}, len(m.Payload)
		if isEntry {
			last.entry = f.entryOf(m)
			requests = append(requests, broker.Request{Tag: last})
			continue
		}
		requests = append(requests, broker.Request{Op: broker.Publish, Names: [][]byte{m.Topic}, Payloads: [][]byte{m.Payload}, Tag: last})
	}
	return requests
}

func (m *FeedMessage) hasExtras() bool { return len(m.Headers) > 0 || m.ID != nil || m.Position != "" }

// check returns why a message is never taken.
func (f *Feed) check(m *FeedMessage) error {
	l := &f.service.options.Limits
	size := len(m.Payload)
	for _, text := range m.Headers {
		size += len(text)
	}
	switch {
	case len(m.Topic) == 0:
		return errors.New("its topic is empty")
	case len(m.Topic) > l.Topic:
		return protocol.Errorf("its topic has %d bytes, and may have %d (--max-topic)", len(m.Topic), l.Topic)
	case size > l.Message:
		return protocol.Errorf("it has %d bytes, and may have %d (--max-message)", size, l.Message)
	}
	return nil
}

// entryOf is a message as an entry: the message, and its headers behind it.
func (f *Feed) entryOf(m *FeedMessage) *stream.AddOptions {
	o := &stream.AddOptions{Auto: true, Fields: append([][]byte{[]byte(entry.Field), m.Payload}, m.Headers...)}
	if m.ID != nil {
		o.Idempotent, o.Producer, o.Message = true, stream.HashID([]byte("connect:"+f.name)), stream.HashID(m.ID)
	}
	return o
}

// part is the run of one of its messages.
func (r *feedRun) part(i int) *feedRun {
	p := *r
	p.messages, p.first = r.messages[i:i+1], r.first+i
	return &p
}

// resolve passes on the results, in the order of the batches.
func (f *Feed) resolve() {
	defer close(f.resolved)
	stopped := f.service.core.Stopped()
	for b := range f.outstanding {
		select {
		case <-b.applied:
		case <-stopped:
			b.done(FeedResult{Err: errFeedStopped})
			continue
		}
		if err := f.service.awaitRecord(b.record); err != nil {
			b.result = FeedResult{Err: err}
		}
		b.done(b.result)
	}
}

// awaitRecord waits until a record is as safe as its policy demands.
func (s *Service) awaitRecord(record uint64) error {
	released, stopped := &s.Counts.messages.Released, s.core.Stopped()
	for released.Load() < record {
		synced := s.syncs.wait()
		if released.Load() >= record { // the wake may have come before
			return nil
		}
		if err := s.streams.store.Failed(); err != nil {
			return err //nolint:wrapcheck // it says all
		}
		select {
		case <-synced:
		case <-stopped: // the log is closed behind it, and syncs what it has
			return errFeedStopped
		}
	}
	return nil
}

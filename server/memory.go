package server

import (
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
)

// memory is what clients make the server hold, all together, against a cap: bytes that wait in outboxes, commands that
// have come in part, what transactions keep, names that are subscribed to, predicates that publishers remember. Batches
// on their way through the core are not counted: they are few, and bounded for each connection.
type memory struct {
	most    int64 // 0 is no cap
	held    atomic.Int64
	pressed chan struct{} // holds a note that the cap was passed
}

// hold counts n bytes more, or less, and has somebody evicted when they are too many.
func (m *memory) hold(n int64) {
	if m == nil || n == 0 { // nil: an outbox without a server, in tests
		return
	}
	if m.held.Add(n) <= m.most || n <= 0 || m.most == 0 {
		return
	}
	select {
	case m.pressed <- struct{}{}:
	default: // it is known
	}
}

// subscriptionWeight is what a subscription costs besides its name, about, with its audience: measured at 250 bytes for
// the only subscriber of a topic.
const subscriptionWeight = 300

// conditionWeight is what a subscription costs on top if it has a predicate, about, besides the predicate. The predicate
// itself weighs what [filter.Predicate.Weight] says, for each who holds it.
const conditionWeight = 768

// share is a connection's part of the memory. Whoever changes it is named; anybody may read it.
type share struct {
	partial atomic.Int64 // of commands that have come in part: the reader's
	names   atomic.Int64 // of subscriptions: the core's
	kept    atomic.Int64 // of a transaction: the core's
	known   atomic.Int64 // of what it publishes to: whoever holds known.mu
}

// set makes one part of a share n bytes.
func (m *memory) set(part *atomic.Int64, n int) {
	if was := part.Swap(int64(n)); was != int64(n) {
		m.hold(int64(n) - was)
	}
}

// forget gives back what the connection held, all but its outbox, which has done so itself.
func (c *conn) forget() {
	m := &c.srv.memory
	m.set(&c.share.partial, 0)
	m.set(&c.share.names, 0)
	m.set(&c.share.kept, 0)
	m.set(&c.share.known, 0)
}

// weigh counts a name that was subscribed to, or left, if that made a difference. The core's.
func (c *conn) weigh(name []byte) {
	more, heavier := c.sub.Holdings()-c.wire.holdings, c.sub.Weight()-c.wire.weight
	c.wire.holdings += more
	c.wire.weight += heavier
	switch {
	case c.wire.holdings == 0:
		c.srv.memory.set(&c.share.names, 0)
	case more != 0:
		topic, _, _ := filter.Split(name)
		heavier += more * (subscriptionWeight + len(topic))
		c.srv.memory.set(&c.share.names, int(c.share.names.Load())+heavier)
	}
}

// holds is what the connection has its part in.
func (c *conn) holds() int64 {
	return c.outbox.waiting.Load() + c.outbox.noted.Load() + c.share.partial.Load() + c.share.names.Load() + c.share.kept.Load() +
		c.share.known.Load()
}

// relieve is the goroutine that evicts who holds most, one after the other, while all together hold too much. For a
// moment there may be more than the cap: nobody waits for it.
func (s *Server) relieve() {
	for {
		select {
		case <-s.stopping:
			return
		case <-s.memory.pressed:
		}
		for c, held, all := s.greediest(); all > s.memory.most && c != nil; c, held, all = s.greediest() {
			c.log(zerolog.WarnLevel).Stringer("peer", peerAddress(c.sock)).Int64("held", held).Int64("all_held", all).
				Int64("max-memory", s.memory.most).Msg("clients hold too much memory together: the one that holds most is evicted")
			c.submitEvict(ReasonMemory)
			s.visit(func(broker.View) {}) // by then it has been
		}
	}
}

// greediest is the connection that holds most, and what all hold together, but for those that are on their way out.
func (s *Server) greediest() (most *conn, held, all int64) {
	for _, c := range s.all() {
		if Reason(c.reason.Load()) != ReasonNone {
			continue
		}
		n := c.holds()
		all += n
		if n > held {
			most, held = c, n
		}
	}
	return most, held, all
}

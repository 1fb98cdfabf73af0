package command

import (
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// noteEvery is how often the positions of subscribers go to the log, all in one record. After a crash, at most what was delivered
// in that time comes again.
const noteEvery = time.Second

// cursors are the subscriptions whose positions are kept: FROM GROUP. One subscription holds a position at a time. The core owns
// them.
type cursors struct {
	service *Service
	held    map[cursorKey]*heldCursor
	list    []*heldCursor // the same ones, in an order that is that of nothing else
	// count is their number, for the sweeper.
	count atomic.Int32
	// notedAt is the uptime of the last visit. It is the sweeper's.
	notedAt time.Duration
	// order is what a node of a cluster has besides.
	order orderedCursors
}

type cursorKey struct{ group, topic string }

// heldCursor is a position and the subscription that moves it. It stays until all that was queued for an ended subscription is
// written, or lost with its connection.
type heldCursor struct {
	cursorKey
	index  int    // in cursors.list
	holder string // on a node of a cluster: see take
	conn   *executor
	sub    *broker.Subscription // nil until the subscription is made
	track  *outbox.Track
	// from is the position that it was taken at.
	from uint64
	// joined is set at the join, dropped if the subscription ended before, final once nothing more is written to the connection.
	joined, dropped, final bool
}

func (c *cursors) init(s *Service) {
	c.service, c.held = s, make(map[cursorKey]*heldCursor)
	if s.options.Order != nil {
		c.order.strays.Store(true) // an earlier start may have ended without a word
	}
}

// isOver reports whether the subscription has ended.
func (h *heldCursor) isOver() bool { return h.dropped || h.final || h.joined && !h.sub.Joined() }

// join notes that the subscription gets what is published from now on; last is the number of the last message before.
func (h *heldCursor) join(last uint64) {
	h.joined = true
	h.conn.outbox.LookedAt(h.track, last)
}

// checkOwnGroup refuses a position that the connection moves already.
func (e *executor) checkOwnGroup(topic []byte, group string) *protocol.Error {
	h := e.service.cursors.held[cursorKey{group, string(topic)}]
	if h == nil || h.conn != e || h.sub == nil || h.isOver() {
		return nil
	}
	return protocol.Errorf("this connection has %s from the group %s already, by %s", protocol.EscapeName(nil, topic),
		protocol.EscapeName(nil, []byte(group)), protocol.EscapeName(nil, []byte(h.sub.Name())))
}

// checkGroup refuses a position of a group that cannot be kept.
func (e *executor) checkGroup(r *broker.Request, topic []byte, group string) *protocol.Error {
	s := &e.service.streams
	shown := protocol.EscapeName(nil, topic)
	switch err := s.usable(); {
	case err != nil:
		return err
	case r.Kind == broker.Shard:
		return protocol.Errorf("a shard keeps no positions; use a topic")
	case !e.service.mayBeDurable(r.Kind, topic):
		return protocol.Errorf("%s is no durable topic, so that no position in it can be kept; start conch with --durable, or type: CONFIG SET durable %s", shown, shown)
	}
	switch {
	case s.state.Cursor(group, string(topic)) != nil:
		return nil
	case s.state.Cursors() >= stream.MaxCursors:
		return protocol.Errorf("%s", stream.ErrManyCursors)
	case !s.store.Room(len(group) + len(topic)):
		return errOOM
	}
	return nil
}

// usable returns why no change can be made.
func (s *streams) usable() *protocol.Error {
	if s.store == nil {
		return errNoStreams
	}
	if err := s.store.Err(); err != nil {
		return errMisconf(err)
	}
	return nil
}

// mayBeDurable reports whether a topic, or one that a pattern may match, is durable.
func (s *Service) mayBeDurable(k broker.Kind, topic []byte) bool {
	if k == broker.Topic || isLiteral(string(topic)) {
		return s.streams.state.IsDurable(topic)
	}
	return s.streams.state.Durable() != nil
}

// startCursor turns FROM GROUP into the number behind the position of that group, and follows the subscription from there on. The
// confirmation waits for the record of it.
func (e *executor) startCursor(r *replay, sub *broker.Subscription, last uint64, v broker.View) {
	c, s := &e.service.cursors, &e.service.streams
	key := cursorKey{r.from.Text, sub.Topic()}
	if e.service.options.Order == nil {
		s.beginRound(v)
		c.take(v, key, e, "")
		c.set(v, key, c.held[key].from)
	}
	h := c.pending(key, e)
	if h == nil { // another one has taken it since
		v.Evict(&e.sub, CloseReasonTakenOver)
		r.from = position.Position{Kind: position.Number, Number: last + 1}
		return
	}
	h.sub = sub
	s.hold(e)
	accountOf(sub).Track = h.track
	e.outbox.Replays(h.track, h.from+1)
	r.from, r.cursor = position.Position{Kind: position.Number, Number: h.from + 1}, h
}

// pending is what a connection has taken for a subscription that is yet to be made. It is nil if another one has taken it since.
func (c *cursors) pending(key cursorKey, e *executor) *heldCursor {
	if h := c.held[key]; h != nil && h.conn == e && h.sub == nil && !h.dropped {
		return h
	}
	return nil
}

// take makes a connection the one that moves a position. What the one before has not got comes to it. A group that is not known begins
// with the next message.
func (c *cursors) take(v broker.View, key cursorKey, e *executor, holder string) {
	h := &heldCursor{cursorKey: key, conn: e, holder: holder, from: v.Stats().Sequence}
	if kept := c.service.streams.state.Cursor(key.group, key.topic); kept != nil {
		h.from = min(h.from, kept.Position())
	}
	if old := c.held[key]; old != nil {
		h.from, h.track = c.takeOver(old, e, v)
		c.remove(old)
	}
	if h.track == nil {
		h.track = outbox.NewTrack(h.from)
	}
	c.add(h)
}

// takeOver ends that a subscription moves its position, which is returned. Its connection ends, but for one that has only left
// the name, or that takes its own position over: then what is queued comes first, and is followed on.
func (c *cursors) takeOver(old *heldCursor, by *executor, v broker.View) (at uint64, track *outbox.Track) {
	if old.conn == by {
		by.Flush() // what is not in the outbox has yet to be counted
		if _, _, closed := by.outbox.Position(old.track); !closed {
			return by.outbox.LastQueued(old.track), old.track
		}
	}
	if !old.isOver() {
		v.Evict(&old.conn.sub, CloseReasonTakenOver)
	}
	return old.conn.outbox.CloseTrack(old.track), nil
}

func (c *cursors) add(h *heldCursor) {
	h.index = len(c.list)
	c.list = append(c.list, h)
	c.held[h.cursorKey] = h
	h.conn.usesStreams().cursors.Add(1)
	c.count.Store(int32(len(c.list))) //nolint:gosec // bounded by MaxCursors
}

func (c *cursors) remove(h *heldCursor) {
	last := c.list[len(c.list)-1]
	c.list[h.index], last.index = last, h.index
	c.list[len(c.list)-1] = nil
	c.list = c.list[:len(c.list)-1]
	delete(c.held, h.cursorKey)
	h.conn.usesStreams().cursors.Add(-1)
	c.count.Store(int32(len(c.list))) //nolint:gosec // bounded by MaxCursors
}

// set logs a position. Behind the newest entry of the log there is nothing to come back to: messages that are not kept move no
// position.
func (c *cursors) set(v broker.View, key cursorKey, at uint64) {
	s := &c.service.streams
	at = min(at, s.newestEntry)
	if kept := s.state.Cursor(key.group, key.topic); kept != nil {
		at = max(at, kept.Position())
	}
	change := s.begin()
	if changes, err := s.state.PlanSetCursor(change, key.group, key.topic, at); err == nil && changes {
		s.apply(v, change)
	}
}

// note logs the position of a subscription, and lets go of one that has ended once nothing of it waits.
func (c *cursors) note(v broker.View, h *heldCursor) {
	at, waits, closed := h.position(v)
	c.set(v, h.cursorKey, at)
	if h.isOver() && (closed || !waits) {
		c.remove(h)
	}
}

// position is where the subscription stands now.
func (h *heldCursor) position(v broker.View) (at uint64, waits, closed bool) {
	if e := h.conn; h.joined && !h.isOver() && e.unflushed == nil && e.txn == nil {
		e.outbox.LookedAt(h.track, v.Stats().Sequence)
	}
	return h.conn.outbox.Position(h.track)
}

// noteAll logs all positions that have moved. The sweeper calls it, and waits for no one.
func (c *cursors) noteAll(now time.Duration) {
	if c.count.Load() == 0 && !c.order.strays.Load() || now-c.notedAt < noteEvery {
		return
	}
	c.notedAt = now
	c.service.tasks.Go(func() {
		c.service.RunOnCore(func(v broker.View) {
			if c.service.options.Order != nil {
				c.proposeAll(v)
			} else if s := &c.service.streams; s.usable() == nil {
				s.beginRound(v)
				for i := len(c.list) - 1; i >= 0; i-- { // note may remove the one at hand
					c.note(v, c.list[i])
				}
			}
		})
	})
}

// endCursors logs the last positions of a connection. It comes behind its last write.
func (c *Conn) endCursors() {
	x := c.streamClient.Load()
	if x == nil || x.cursors.Load() == 0 {
		return
	}
	if c.service.options.Order != nil {
		c.service.cursors.proposeLast(&c.executor)
		return
	}
	c.service.RunOnCore(func(v broker.View) {
		s, all := &c.service.streams, &c.service.cursors
		canLog := s.usable() == nil
		if canLog {
			s.beginRound(v)
		}
		for i := len(all.list) - 1; i >= 0; i-- {
			h := all.list[i]
			if h.conn != &c.executor {
				continue
			}
			if at, _, _ := h.position(v); canLog {
				all.set(v, h.cursorKey, at)
			}
			all.remove(h)
		}
	})
}

// cursorBehind is by how many numbers the hindmost position that is kept is behind the newest entry. There are 10,000 at most.
func (s *streams) cursorBehind() (behind uint64) {
	s.state.EachCursor("", func(c *stream.Cursor) bool {
		behind = max(behind, s.newestEntry-min(s.newestEntry, c.Position()))
		return true
	})
	return behind
}

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
}

type cursorKey struct{ group, topic string }

// heldCursor is a position and the subscription that moves it. It stays until all that was queued for an ended subscription is
// written, or lost with its connection.
type heldCursor struct {
	cursorKey
	index int // in cursors.list
	conn  *executor
	sub   *broker.Subscription
	track *outbox.Track
	// joined is set at the join, dropped if the subscription ended before.
	joined, dropped bool
}

func (c *cursors) init(s *Service) { c.service, c.held = s, make(map[cursorKey]*heldCursor) }

// isOver reports whether the subscription has ended.
func (h *heldCursor) isOver() bool { return h.dropped || h.joined && !h.sub.Joined() }

// join notes that the subscription gets what is published from now on; last is the number of the last message before.
func (h *heldCursor) join(last uint64) {
	h.joined = true
	h.conn.outbox.LookedAt(h.track, last)
}

// checkGroup refuses a position of a group that cannot be kept.
func (e *executor) checkGroup(r *broker.Request, topic []byte, group string) *protocol.Error {
	s := &e.service.streams
	shown := protocol.EscapeName(nil, topic)
	switch err := s.usable(); {
	case err != nil:
		return err
	case e.service.options.Order != nil:
		return errNotInCluster("FROM GROUP", "keep the last position and subscribe FROM it, or read with XREADGROUP")
	case r.Kind == broker.Shard:
		return protocol.Errorf("a shard keeps no positions; use a topic")
	case !e.service.mayBeDurable(r.Kind, topic):
		return protocol.Errorf("%s is no durable topic, so that no position in it can be kept; start conch with --durable, or type: CONFIG SET durable %s", shown, shown)
	}
	h := e.service.cursors.held[cursorKey{group, string(topic)}]
	switch {
	case h != nil && h.conn == e && !h.isOver():
		return protocol.Errorf("this connection has %s from the group %s already, by %s", shown, protocol.EscapeName(nil, []byte(group)), protocol.EscapeName(nil, []byte(h.sub.Name())))
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

// startCursor turns FROM GROUP into the number behind the position of that group, and follows the subscription from there on. A
// group that is not known begins with the next message. The confirmation waits for the record of it.
func (e *executor) startCursor(r *replay, sub *broker.Subscription, last uint64, v broker.View) {
	c, s := &e.service.cursors, &e.service.streams
	s.beginRound(v)
	h := &heldCursor{cursorKey: cursorKey{r.from.Text, sub.Topic()}, conn: e, sub: sub}
	at := last
	if old := c.held[h.cursorKey]; old != nil {
		at, h.track = c.takeOver(old, e, v)
		c.remove(old)
	} else if kept := s.state.Cursor(h.group, h.topic); kept != nil {
		at = kept.Position()
	}
	if at = min(at, last); h.track == nil {
		h.track = outbox.NewTrack(at)
	}
	c.add(h)
	c.set(v, h.cursorKey, at)
	s.hold(e)
	accountOf(sub).Track = h.track
	e.outbox.Replays(h.track, at+1)
	r.from, r.cursor = position.Position{Kind: position.Number, Number: at + 1}, h
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
	if c.count.Load() == 0 || now-c.notedAt < noteEvery {
		return
	}
	c.notedAt = now
	c.service.tasks.Go(func() {
		c.service.RunOnCore(func(v broker.View) {
			if s := &c.service.streams; s.usable() == nil {
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

package command

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// On a node of a cluster, the state that all nodes share has which connection moves a position: its holder. A subscription takes it by an
// entry of the order. The holder's node proposes how far it has come once a second, and at the end of a subscription that nothing holds it
// any more. What a former holder proposes has no effect, so nothing waits for a node that is gone.

// orderedCursors are the cursors of a node of a cluster.
type orderedCursors struct {
	// taken counts the takes of this start of the node.
	taken atomic.Uint64
	// outstanding is how many proposals of positions are on their way. The core owns it.
	outstanding int
	// strays: the state may have holders of this node that are no connections any more.
	strays atomic.Bool
}

// orderedCursor is the first byte of the body of an entry with positions. No flags of an origin are the same.
const orderedCursor = 0xf4

// maxCursorBody is the size from which on a body takes no further position.
const maxCursorBody = 256 << 10

// cursorNote is how far a holder has come. ends: nothing holds the position any more.
type cursorNote struct {
	cursorKey
	holder   string
	position uint64
	ends     bool
}

// cursorNotes is the token of some of them.
type cursorNotes struct {
	done   chan struct{} // closed once they have taken effect or are given up
	strays bool          // some are of holders that are no connections
}

// newHolder names a connection that takes positions. No two takes have one name.
func (c *cursors) newHolder(conn int64) string {
	return fmt.Sprintf("%d %d %s %s", conn, c.order.taken.Add(1), c.service.runID, c.service.options.NodeName)
}

// splitHolder returns the id of a connection, and its node.
func splitHolder(holder string) (client, node string) {
	const parts = 4
	if p := strings.SplitN(holder, " ", parts); len(p) == parts {
		return p[0], p[parts-1]
	}
	return "", ""
}

// isOurs reports whether a holder is, or was, of this node.
func (c *cursors) isOurs(holder string) bool {
	_, node := splitHolder(holder)
	return holder != "" && node == c.service.options.NodeName
}

// proposeAll proposes all positions that have moved, unless the last ones are still on their way.
func (c *cursors) proposeAll(v broker.View) {
	s := c.service
	if c.order.outstanding > 0 || !s.isFounded.Load() || s.Loading() != nil {
		return
	}
	var notes []cursorNote
	for i := len(c.list) - 1; i >= 0; i-- { // appendNote may remove the one at hand
		notes = c.appendNote(notes, v, c.list[i])
	}
	strays := c.order.strays.Swap(false)
	if strays {
		notes = c.appendStrays(notes)
	}
	c.propose(notes, strays)
}

// appendNote appends how far a subscription has come, if the others do not know.
func (c *cursors) appendNote(notes []cursorNote, v broker.View, h *heldCursor) []cursorNote {
	s := &c.service.streams
	kept := s.state.Cursor(h.group, h.topic)
	at, waits, closed := h.position(v)
	at = min(at, s.newestEntry) // messages that are not kept move no position
	switch ends := h.isOver() && (closed || h.final || !waits); {
	case kept == nil || kept.Holder() != h.holder:
		c.remove(h)
	case ends || at > kept.Position():
		notes = append(notes, cursorNote{h.cursorKey, h.holder, at, ends})
	}
	return notes
}

// appendStrays appends that nothing holds the positions that only connections of the past hold: of an earlier start, or such that
// have ended before they could subscribe.
func (c *cursors) appendStrays(notes []cursorNote) []cursorNote {
	c.service.streams.state.EachCursor("", func(x *stream.Cursor) bool {
		key := cursorKey{x.Group(), x.Topic()}
		if h := c.held[key]; c.isOurs(x.Holder()) && (h == nil || h.holder != x.Holder()) {
			notes = append(notes, cursorNote{key, x.Holder(), x.Position(), true})
		}
		return true
	})
	return notes
}

// proposeEnded proposes that nothing holds the positions of subscriptions of a connection that have ended, if nothing of them waits. Its
// frames are flushed.
func (c *cursors) proposeEnded(e *executor) {
	var notes []cursorNote
	for i := len(c.list) - 1; i >= 0; i-- {
		if h := c.list[i]; h.conn == e && h.isOver() {
			if _, waits, closed := e.outbox.Position(h.track); closed || !waits {
				notes = c.appendNote(notes, broker.View{}, h) // it reads no number of the core: that of the subscription is final
			}
		}
	}
	c.propose(notes, false)
}

// noteLeft notes that a subscription has ended: the flush looks at what it moved.
func (e *executor) noteLeft() {
	if e.service.options.Order == nil {
		return
	}
	if x := e.streamClient.Load(); x != nil && x.cursors.Load() > 0 {
		x.hasLeft = true
	}
}

// proposeLast proposes the last positions of a connection, behind its last write, and waits until they have taken effect: its node may
// be about to stop.
func (c *cursors) proposeLast(e *executor) {
	var on []*cursorNotes
	c.service.RunOnCore(func(v broker.View) {
		var notes []cursorNote
		for i := len(c.list) - 1; i >= 0; i-- {
			if h := c.list[i]; h.conn == e {
				h.final = true
				notes = c.appendNote(notes, v, h)
			}
		}
		on = c.propose(notes, false)
	})
	for _, t := range on {
		select {
		case <-t.done:
		case <-c.service.core.Stopped():
		}
	}
}

// propose proposes positions. Those that are given up come again with the next ones.
func (c *cursors) propose(notes []cursorNote, strays bool) (tokens []*cursorNotes) {
	for len(notes) > 0 {
		body := []byte{orderedCursor}
		for len(notes) > 0 && len(body) < maxCursorBody {
			body = notes[0].append(body)
			notes = notes[1:]
		}
		t := &cursorNotes{done: make(chan struct{}), strays: strays}
		if c.service.options.Order.Propose(body, t) != nil {
			if strays {
				c.order.strays.Store(true)
			}
			break
		}
		c.order.outstanding++
		tokens = append(tokens, t)
	}
	return tokens
}

func (n *cursorNote) append(b []byte) []byte {
	for _, text := range []string{n.group, n.topic, n.holder} {
		b = appendLong(b, []byte(text))
	}
	var ends byte
	if n.ends {
		ends = 1
	}
	return append(binary.LittleEndian.AppendUint64(b, n.position), ends)
}

func (b *bodyReader) note() cursorNote {
	n := cursorNote{cursorKey: cursorKey{string(b.text()), string(b.text())}, holder: string(b.text())}
	if len(b.left) < 8 {
		b.err, b.left = errBody, nil
		return n
	}
	n.position = binary.LittleEndian.Uint64(b.left)
	b.left = b.left[8:]
	n.ends = b.byte() != 0
	return n
}

// applyCursors applies an entry with positions.
func (a *Applier) applyCursors(e *OrderedEntry) error {
	in := bodyReader{left: e.Parts[0].Body[1:]}
	var notes []cursorNote
	for len(in.left) > 0 {
		notes = append(notes, in.note())
	}
	if in.err != nil {
		return in.err
	}
	c := &a.service.cursors
	return a.change(e, func(v broker.View) error {
		last := v.Stats().Sequence
		for i := range notes {
			c.applyNote(v, &notes[i], last)
		}
		if t, ok := e.Parts[0].Token.(*cursorNotes); ok {
			c.order.outstanding--
			close(t.done)
		}
		return nil
	})
}

// applyNote moves a position to where its holder has come. A position never goes back.
func (c *cursors) applyNote(v broker.View, n *cursorNote, last uint64) {
	s := &c.service.streams
	kept := s.state.Cursor(n.group, n.topic)
	if kept == nil || kept.Holder() != n.holder {
		return
	}
	holder := n.holder
	if h := c.held[n.cursorKey]; n.ends {
		if holder = ""; h != nil && h.holder == n.holder {
			c.remove(h)
		}
	}
	c.hold(v, n.cursorKey, max(kept.Position(), min(n.position, last)), holder)
}

// hold changes the position and the holder of a cursor, and reports whether it could.
func (c *cursors) hold(v broker.View, key cursorKey, at uint64, holder string) bool {
	s := &c.service.streams
	change := s.begin()
	changes, err := s.state.PlanHoldCursor(change, key.group, key.topic, at, holder)
	if changes {
		s.apply(v, change)
	}
	return err == nil
}

// lost ends that positions are on their way.
func (c *cursors) lost(t *cursorNotes) {
	if c.order.outstanding--; t.strays {
		c.order.strays.Store(true)
	}
	close(t.done)
}

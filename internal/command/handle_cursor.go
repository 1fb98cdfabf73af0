package command

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// maxPositionRows bounds the rows of CURSOR LIST; for more, the command names a group.
const maxPositionRows = 1000

// cursorList is CURSOR LIST [group]: a map for each position that is kept, or a table for a person at a terminal.
func cursorList(w *response) {
	if len(w.inv.args) > 3 {
		w.wrongSubcommandArity()
		return
	}
	group, all := "", len(w.inv.args) == 2
	if !all {
		group = string(w.inv.args[2])
	}
	var rows []*stream.Cursor
	w.streams().EachCursor(group, func(c *stream.Cursor) bool {
		if !all && c.Group() != group || len(rows) == maxPositionRows {
			return false
		}
		rows = append(rows, c)
		return true
	})
	if w.isTyped() {
		w.typedCursors(rows)
		return
	}
	w.array(len(rows))
	for _, c := range rows {
		at, client := w.cursor(c)
		w.mapHeader(4)
		for _, field := range []string{"group", c.Group(), "topic", c.Topic(), "position", at, "client", client} {
			w.text(field)
		}
	}
}

// typedCursors replies with a table, for people.
func (w *response) typedCursors(rows []*stream.Cursor) {
	t := textTable{head: []string{"group", "topic", "position", "client"}}
	for _, c := range rows {
		at, client := w.cursor(c)
		t.add(w, showName(c.Group()), showName(c.Topic()), at, cmp.Or(client, "-"))
	}
	w.buf = protocol.AppendLineEnd(fmt.Appendf(w.buf, "OK CURSOR LIST %d", len(rows)), w.inv.crlf)
	if len(rows) == 0 {
		return
	}
	for _, line := range t.lines() {
		w.buf = protocol.AppendLineEnd(append(w.buf, line...), w.inv.crlf)
	}
}

// cursor returns a position, and the client that moves it, if there is one. The position of a subscription that is there now is read
// from its outbox.
func (w *response) cursor(c *stream.Cursor) (place, client string) {
	s, at := w.executor.service, c.Position()
	if h := s.cursors.held[cursorKey{c.Group(), c.Topic()}]; h != nil {
		now, _, _ := h.position(w.view)
		if at = max(at, min(now, s.streams.newestEntry)); !h.isOver() {
			client = strconv.FormatInt(h.conn.id, 10)
		}
	}
	return string(position.Append(nil, s.Epoch(), at)), client
}

// cursorDel is CURSOR DEL group topic [topic ...]: it replies with how many positions are gone. One that a subscription moves stays.
func cursorDel(w *response) {
	group, topics, s := string(w.inv.args[2]), w.inv.args[3:], w.executor.service
	inUse := func(topic []byte) bool {
		h := s.cursors.held[cursorKey{group, string(topic)}]
		return h != nil && !h.isOver()
	}
	if i := slices.IndexFunc(topics, inUse); i >= 0 {
		h := s.cursors.held[cursorKey{group, string(topics[i])}]
		w.fail(protocol.Errorf("a client goes on from %s in the group %s; end it first: CLIENT KILL ID %d",
			protocol.EscapeName(nil, topics[i]), protocol.EscapeName(nil, []byte(group)), h.conn.id))
		return
	}
	gone := 0
	for _, topic := range topics {
		if h := s.cursors.held[cursorKey{group, string(topic)}]; h != nil { // its last messages are being written
			s.cursors.remove(h)
		}
		if c := w.change(); w.streams().PlanRemoveCursor(c, group, string(topic)) {
			w.apply(c)
			gone++
		}
	}
	w.integer(int64(gone))
}

package command

import (
	"cmp"
	"fmt"
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
		at, client, node := w.cursor(c)
		fields := []string{"group", c.Group(), "topic", c.Topic(), "position", at, "client", client}
		if w.executor.service.options.Order != nil {
			fields = append(fields, "node", node)
		}
		w.mapHeader(len(fields) / 2)
		for _, field := range fields {
			w.text(field)
		}
	}
}

// typedCursors replies with a table, for people.
func (w *response) typedCursors(rows []*stream.Cursor) {
	t := textTable{head: []string{"group", "topic", "position", "client"}}
	for _, c := range rows {
		at, client, node := w.cursor(c)
		if node != "" {
			client += " of " + node
		}
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

// cursor returns a position, and the client that moves it, if there is one, with its node of a cluster. The position of a subscription that
// is here now is read from its outbox.
func (w *response) cursor(c *stream.Cursor) (place, client, node string) {
	s, at := w.executor.service, c.Position()
	client, node = splitHolder(c.Holder())
	if h := s.cursors.held[cursorKey{c.Group(), c.Topic()}]; h != nil {
		now, _, _ := h.position(w.view)
		at = max(at, min(now, s.streams.newestEntry))
		switch {
		case h.isOver():
			client, node = "", ""
		case client == "":
			client = strconv.FormatInt(h.conn.id, 10)
		}
	}
	return string(position.Append(nil, s.Epoch(), at)), client, node
}

// cursorDel is CURSOR DEL group topic [topic ...]: it replies with how many positions are gone. One that a subscription moves stays.
func cursorDel(w *response) {
	group, topics, c := string(w.inv.args[2]), w.inv.args[3:], &w.executor.service.cursors
	for _, topic := range topics {
		if err := c.inUse(cursorKey{group, string(topic)}); err != nil {
			w.fail(err)
			return
		}
	}
	gone := 0
	for _, topic := range topics {
		if h := c.held[cursorKey{group, string(topic)}]; h != nil { // its last messages are being written
			c.remove(h)
		}
		if c := w.change(); w.streams().PlanRemoveCursor(c, group, string(topic)) {
			w.apply(c)
			gone++
		}
	}
	w.integer(int64(gone))
}

// inUse is why a position is not removed; nil if it may be. On a node of a cluster it depends on what all nodes share.
func (c *cursors) inUse(key cursorKey) *protocol.Error {
	topic, group := protocol.EscapeName(nil, []byte(key.topic)), protocol.EscapeName(nil, []byte(key.group))
	if c.service.options.Order == nil {
		if h := c.held[key]; h != nil && !h.isOver() {
			return protocol.Errorf("a client goes on from %s in the group %s; end it first: CLIENT KILL ID %d", topic, group, h.conn.id)
		}
		return nil
	}
	kept := c.service.streams.state.Cursor(key.group, key.topic)
	if kept == nil || kept.Holder() == "" {
		return nil
	}
	client, node := splitHolder(kept.Holder())
	return protocol.Errorf("a client of the node %s goes on from %s in the group %s; end it there: CLIENT KILL ID %s, or, if that node is gone, subscribe from the group here, and leave", node, topic, group, client)
}

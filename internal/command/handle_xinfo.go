package command

import (
	"strings"

	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// xinfoGroups is XINFO GROUPS key [MISSED]. Both counts are always known here: entries are numbered, and the live ones are counted.
func xinfoGroups(w *response) {
	st := w.streams().Lookup(w.inv.args[2])
	fields := 6
	switch args := w.inv.args; {
	case len(args) > 4 || len(args) == 4 && !strings.EqualFold(string(args[3]), "MISSED"):
		w.fail(protocol.Errorf("syntax error"))
		return
	case st == nil:
		w.fail(errNoSuchKey)
		return
	case len(args) == 4:
		fields++ // only for those that ask: libraries refuse fields that they do not know
	}
	w.array(st.Groups())
	st.EachGroup(func(g *stream.Group) bool {
		w.mapHeader(fields)
		w.text("name")
		w.text(g.Name())
		w.text("consumers")
		w.integer(int64(g.Consumers()))
		w.text("pending")
		w.integer(int64(g.Pending()))
		w.text("last-delivered-id")
		w.text(g.Last().String())
		w.text("entries-read")
		w.integer(int64(g.Read())) //nolint:gosec // a count
		w.text("lag")
		w.integer(int64(st.Lag(g)))
		if fields > 6 {
			w.text("missed")
			w.integer(int64(g.Missed())) //nolint:gosec // a count
		}
		return true
	})
}

// xinfoConsumers is XINFO CONSUMERS key group.
func xinfoConsumers(w *response) {
	key, name := w.inv.args[2], w.inv.args[3]
	st, g := w.group(key, name)
	switch {
	case st == nil:
		w.fail(errNoSuchKey)
		return
	case g == nil:
		w.fail(protocol.ErrNoGroup(noGroupToChange, name, key))
		return
	}
	now := w.now()
	w.array(g.Consumers())
	g.EachConsumer(func(c *stream.Consumer) bool {
		w.mapHeader(4)
		w.text("name")
		w.text(c.Name())
		w.text("pending")
		w.integer(int64(c.Pending()))
		w.text("idle")
		w.integer(max(now-c.Seen(), 0))
		w.text("inactive")
		if c.Active() < 0 {
			w.integer(-1)
		} else {
			w.integer(max(now-c.Active(), 0))
		}
		return true
	})
}

// fullGroups are the groups in XINFO STREAM FULL, with count pending entries each; 0 for all.
func (w *response) fullGroups(st *stream.Stream, count int) {
	w.array(st.Groups())
	st.EachGroup(func(g *stream.Group) bool {
		w.mapHeader(8)
		w.text("name")
		w.text(g.Name())
		w.text("last-delivered-id")
		w.text(g.Last().String())
		w.text("entries-read")
		w.integer(int64(g.Read())) //nolint:gosec // a count
		w.text("lag")
		w.integer(int64(st.Lag(g)))
		w.text("pel-count")
		w.integer(int64(g.Pending()))
		w.text("nacked-count")
		w.integer(int64(g.Unowned()))
		w.text("pending")
		w.fullPending(g.Pending(), count, g.EachPending, true)
		w.text("consumers")
		w.fullConsumers(g, count)
		return true
	})
}

func (w *response) fullConsumers(g *stream.Group, count int) {
	w.array(g.Consumers())
	g.EachConsumer(func(c *stream.Consumer) bool {
		w.mapHeader(5)
		w.text("name")
		w.text(c.Name())
		w.text("seen-time")
		w.integer(c.Seen())
		w.text("active-time")
		w.integer(c.Active())
		w.text("pel-count")
		w.integer(int64(c.Pending()))
		w.text("pending")
		w.fullPending(c.Pending(), count, c.EachPending, false)
		return true
	})
}

// fullPending are pending entries, the first ones of n; those of a group with the consumers.
func (w *response) fullPending(n, count int, each func(from, to stream.ID, f func(*stream.Pending) bool), named bool) {
	if count > 0 {
		n = min(n, count)
	}
	n = min(n, maxListed)
	w.array(n)
	each(stream.MinID, stream.MaxID, func(p *stream.Pending) bool {
		if n--; n < 0 {
			return false
		}
		if named {
			w.array(4)
		} else {
			w.array(3)
		}
		w.text(p.ID().String())
		if named {
			w.text(p.Consumer())
		}
		w.integer(p.Time())
		w.integer(int64(p.Deliveries())) //nolint:gosec // 2^63-1 at most
		return true
	})
}

package command

import (
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// Handlers of streams that need their state alone. Those with entries are in handle_entries.go.

func xlen(w *response) {
	n := 0
	if s := w.key(w.inv.args[1]); s != nil {
		n = s.Len()
	}
	w.integer(int64(n))
}

// xdel is XDEL. As in Redis, ids are not looked at if there is no such key.
func xdel(w *response) {
	s := w.key(w.inv.args[1])
	if s == nil {
		w.total(0)
		return
	}
	ids, err := keyargs.IDs(make([]stream.ID, 0, len(w.inv.args)-2), w.inv.args[2:])
	if err != nil {
		w.fail(err)
		return
	}
	c := w.change()
	n := w.streams().PlanDelete(c, s, ids)
	if n > 0 {
		w.apply(c)
	}
	w.total(n)
}

// xdelex is XDELEX. Without groups no entry is referred to, whatever the mode: each that exists
// is deleted.
func xdelex(w *response) {
	var x keyargs.XDelEx
	if err := x.Parse(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	s := w.key(x.Key)
	if s == nil {
		w.array(len(x.IDs))
		for range x.IDs {
			w.integer(-1)
		}
		return
	}
	c := w.change()
	deletes := w.streams().PlanDeleteReferenced(c, s, x.IDs, x.Refs)
	w.array(len(x.IDs))
	for i := range x.IDs {
		switch {
		case i < len(c.Kept) && c.Kept[i]:
			w.integer(2)
		case c.Found[i]:
			w.integer(1)
		default:
			w.integer(-1)
		}
	}
	if deletes {
		w.apply(c)
	}
}

func xtrim(w *response) {
	var x keyargs.XTrim
	if err := x.Parse(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	n := 0
	if s := w.key(x.Key); s != nil {
		c := w.change()
		if n = w.streams().PlanTrim(c, s, &x.Trim); n > 0 {
			w.apply(c)
		}
	}
	w.integer(int64(n))
}

func xsetid(w *response) {
	var x keyargs.XSetID
	if err := x.Parse(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	s := w.key(x.Key)
	if s == nil {
		w.fail(errNoSuchKey)
		return
	}
	c := w.change()
	if err := w.streams().PlanSetID(c, s, &x.SetIDOptions); err != nil {
		w.fail(protocol.Errorf("%s", err))
		return
	}
	w.apply(c)
	w.ok()
}

func xcfgset(w *response) {
	var x keyargs.XCfgSet
	if err := x.Parse(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	s := w.key(x.Key)
	if s == nil {
		w.fail(errNoSuchKey)
		return
	}
	if c := w.change(); w.streams().PlanConfigure(c, s, x.Duration, x.MaxSize) {
		w.apply(c)
	}
	w.ok()
}

// xinfoStream is XINFO STREAM. As in Redis, a missing key precedes wrong options.
func xinfoStream(w *response) {
	s := w.key(w.inv.args[2])
	if s == nil {
		w.fail(errNoSuchKey)
		return
	}
	var x keyargs.XInfoStream
	if err := x.Parse(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	if x.Full {
		w.mapHeader(15)
	} else {
		w.mapHeader(16)
	}
	w.streamState(s)
	if x.Full {
		w.text("entries")
		w.entries(s, s.Range(stream.MinID, stream.MaxID, int(x.Count), false))
		w.text("groups")
		w.fullGroups(s, int(x.Count))
		return
	}
	w.text("groups")
	w.integer(int64(s.Groups()))
	w.text("first-entry")
	w.entry(s, s.Range(stream.MinID, stream.MaxID, 1, false))
	w.text("last-entry")
	w.entry(s, s.Range(stream.MinID, stream.MaxID, 1, true))
}

// streamState appends the 13 fields that need no entry. Redis keeps ids in a radix tree, conch
// in blocks.
func (w *response) streamState(s *stream.Stream) {
	first, _ := s.First()
	window := s.Idempotency()
	for _, field := range []struct {
		name  string
		value int64
		id    stream.ID
		isID  bool
	}{
		{name: "length", value: int64(s.Len())},
		{name: "radix-tree-keys", value: int64(s.Blocks())},
		{name: "radix-tree-nodes", value: int64(s.Blocks()) + 1},
		{name: "last-generated-id", id: s.LastID(), isID: true},
		{name: "max-deleted-entry-id", id: s.MaxDeleted(), isID: true},
		{name: "entries-added", value: int64(s.EntriesAdded())}, //nolint:gosec // a count
		{name: "recorded-first-entry-id", id: first, isID: true},
		{name: "idmp-duration", value: int64(window.Duration)},
		{name: "idmp-maxsize", value: int64(window.MaxSize)},
		{name: "pids-tracked", value: int64(window.Producers)},
		{name: "iids-tracked", value: int64(window.Tracked)},
		{name: "iids-added", value: int64(window.Added)},           //nolint:gosec // a count
		{name: "iids-duplicates", value: int64(window.Duplicates)}, //nolint:gosec // a count
	} {
		w.text(field.name)
		if field.isID {
			w.text(field.id.String())
		} else {
			w.integer(field.value)
		}
	}
}

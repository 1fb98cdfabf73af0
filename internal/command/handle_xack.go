package command

import (
	"strconv"

	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// xack is XACK key group id [id ...]. As in Redis, ids are not looked at if there is no such group.
func xack(w *response) {
	st, g := w.group(w.inv.args[1], w.inv.args[2])
	if g == nil {
		w.total(0)
		return
	}
	ids, err := keyargs.IDs(make([]stream.ID, 0, len(w.inv.args)-3), w.inv.args[3:])
	if err != nil {
		w.fail(err)
		return
	}
	c := w.change()
	n := w.streams().PlanAcknowledge(c, st, g, ids)
	if n > 0 {
		w.apply(c)
	}
	w.total(n)
}

// xackdel is XACKDEL key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...].
func xackdel(w *response) {
	var x keyargs.XAckDel
	if err := x.Parse(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	results := make([]int64, len(x.IDs))
	for i := range results {
		results[i] = -1
	}
	if st, g := w.group(x.Key, x.Group); g != nil {
		w.acknowledgeAndDelete(st, g, &x, results)
	}
	w.array(len(results))
	for _, n := range results {
		w.integer(n)
	}
}

// acknowledgeAndDelete fills in what came of each id: two changes of one record.
func (w *response) acknowledgeAndDelete(st *stream.Stream, g *stream.Group, x *keyargs.XAckDel, results []int64) {
	c := w.change()
	if w.streams().PlanAcknowledge(c, st, g, x.IDs) == 0 {
		return
	}
	acknowledged := make([]stream.ID, 0, len(c.IDs))
	for i, found := range c.Found {
		if found {
			results[i] = 1
			acknowledged = append(acknowledged, x.IDs[i])
		}
	}
	w.apply(c)
	c = w.change()
	deletes := w.streams().PlanDeleteReferenced(c, st, acknowledged, x.Refs)
	next := 0
	for i := range results {
		if results[i] != 1 {
			continue
		}
		if next < len(c.Kept) && c.Kept[next] {
			results[i] = 2
		}
		next++
	}
	if deletes {
		w.apply(c)
	}
}

// xnack is XNACK key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE].
func xnack(w *response) {
	var x keyargs.XNack
	if err := x.Parse(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	st, g := w.groupOrError()
	switch {
	case g == nil:
		return
	case x.Force && !w.room():
		w.fail(errOOM)
		return
	}
	c := w.change()
	n := w.streams().PlanRelease(c, st, g, x.IDs, &x.ReleaseOptions)
	if n > 0 {
		w.apply(c)
		w.wakeGroup(x.Key)
	}
	w.integer(int64(n))
}

// maxListed bounds the entries that XPENDING lists. Each reply is made on the core.
const maxListed = 10_000

// xpending is XPENDING key group [[IDLE min-idle-time] start end count [consumer]].
func xpending(w *response) {
	var x keyargs.XPending
	if err := x.Parse(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	_, g := w.groupOrError()
	switch {
	case g == nil:
	case x.Lists:
		w.listPending(g, &x)
	default:
		w.sumUpPending(g)
	}
}

func (w *response) sumUpPending(g *stream.Group) {
	w.array(4)
	w.integer(int64(g.Pending()))
	if g.Pending() == 0 {
		w.null()
		w.null()
		w.nullArray()
		return
	}
	low, high := g.Bounds()
	w.text(low.String())
	w.text(high.String())
	busy := 0
	g.EachConsumer(func(c *stream.Consumer) bool {
		if c.Pending() > 0 {
			busy++
		}
		return true
	})
	w.array(busy)
	g.EachConsumer(func(c *stream.Consumer) bool {
		if c.Pending() > 0 {
			w.array(2)
			w.text(c.Name())
			w.buf = protocol.AppendBulkString(w.buf, strconv.Itoa(c.Pending()))
		}
		return true
	})
}

func (w *response) listPending(g *stream.Group, x *keyargs.XPending) {
	each := g.EachPending
	if x.Consumer != nil {
		consumer := g.Consumer(x.Consumer)
		if consumer == nil {
			w.array(0)
			return
		}
		each = consumer.EachPending
	}
	var list []*stream.Pending
	most, now := int(min(x.Count, maxListed)), w.now()
	each(x.From, x.To, func(p *stream.Pending) bool {
		if len(list) == most {
			return false
		}
		if idle := p.Idle(now); idle < 0 || idle >= x.MinIdle {
			list = append(list, p)
		}
		return true
	})
	w.array(len(list))
	for _, p := range list {
		w.array(4)
		w.text(p.ID().String())
		w.text(p.Consumer())
		w.integer(p.Idle(now))
		w.integer(int64(p.Deliveries())) //nolint:gosec // 2^63-1 at most
	}
}

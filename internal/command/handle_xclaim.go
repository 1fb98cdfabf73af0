package command

import (
	"slices"

	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/stream"
)

// xclaim is XCLAIM key group consumer min-idle-time id [id ...] with its options. As in Redis, a missing group precedes wrong
// arguments.
func xclaim(w *response) {
	st, g := w.groupOrError()
	if g == nil {
		return
	}
	var x keyargs.XClaim
	if err := x.Parse(w.inv.args, w.now()); err != nil {
		w.fail(err)
		return
	}
	if !w.room() {
		w.fail(errOOM)
		return
	}
	if err := w.refusesConsumer(g, w.inv.args[3]); err != nil {
		w.fail(err)
		return
	}
	consumer := w.consumer(st, g, w.inv.args[3])
	c := w.change()
	applies := w.streams().PlanClaim(c, st, g, consumer, x.IDs, &x.ClaimOptions)
	claimed := slices.Clone(c.IDs)
	if applies {
		w.apply(c)
	}
	w.claimed(st, claimed, x.JustID)
}

// claimed appends an array of entries, or of their ids alone.
func (w *response) claimed(st *stream.Stream, ids []stream.ID, justID bool) {
	w.array(len(ids))
	if justID {
		w.ids(ids)
		return
	}
	w.picked(st, ids, tails{})
}

func (w *response) ids(ids []stream.ID) {
	for _, id := range ids {
		w.buf = w.executor.service.streams.text.appendID(w.buf, id)
	}
}

// xautoclaim is XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID].
func xautoclaim(w *response) {
	var x keyargs.XAutoClaim
	if err := x.Parse(w.inv.args, w.now()); err != nil {
		w.fail(err)
		return
	}
	st, g := w.groupOrError()
	if g == nil {
		return
	}
	if err := w.refusesConsumer(g, w.inv.args[3]); err != nil {
		w.fail(err)
		return
	}
	consumer := w.consumer(st, g, w.inv.args[3])
	c := w.change()
	next, _ := w.streams().PlanAutoClaim(c, st, g, consumer, x.From, x.Count, &x.ClaimOptions)
	claimed, gone := slices.Clone(c.IDs), slices.Clone(c.Gone)
	if len(claimed)+len(gone) > 0 {
		w.apply(c)
	}
	w.array(3)
	w.ids([]stream.ID{next})
	w.claimed(st, claimed, x.JustID)
	w.array(len(gone))
	w.ids(gone)
}

package command

import (
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// maxGroupRead bounds the entries that one XREADGROUP delivers: each becomes pending on the core. A client reads on for more.
const maxGroupRead = 10_000

// groupRead is an XREADGROUP at its instant: first all changes are made, then the reply is.
type groupRead struct {
	*response
	x     *keyargs.XRead
	left  int // how many entries it may still have
	parts []groupPart
}

// groupPart is a stream in the reply to XREADGROUP.
type groupPart struct {
	name   []byte
	stream *stream.Stream
	// claimed are the entries that were claimed, as they were before, and history those that the consumer has.
	claimed, history []*stream.Pending
	fresh            stream.Range
	isHistory        bool
	// gone are the ids of the history whose entries were deleted.
	gone map[stream.ID]bool
}

// xreadgroup is XREADGROUP GROUP group consumer [options] STREAMS key [key ...] id [id ...].
func xreadgroup(w *response) {
	x, err := w.inv.xread()
	if err != nil {
		w.fail(err)
		return
	}
	switch {
	case w.readGroups(x):
	case x.Blocks && !w.executor.inExec() && !w.executor.isReplica:
		w.blockGroupRead(x)
	default:
		w.nullArray()
	}
}

// readGroups replies with entries, or with an error. It returns false if there is nothing to reply with.
func (w *response) readGroups(x *keyargs.XRead) bool {
	for i, key := range x.Keys {
		_, g := w.group(key, x.Group)
		switch {
		case g == nil:
			w.fail(protocol.ErrNoGroup(noGroupToRead, key, x.Group))
			return true
		case x.After[i].Wrong != nil:
			w.fail(x.After[i].Wrong)
			return true
		}
		if err := w.refusesConsumer(g, x.Consumer); err != nil {
			w.fail(err)
			return true
		}
	}
	if !x.NoAck && !w.room() {
		w.fail(errOOM)
		return true
	}
	r := groupRead{response: w, x: x, left: maxGroupRead}
	if x.MaxCount > 0 {
		r.left = int(min(x.MaxCount, maxGroupRead))
	}
	for i := range x.Keys {
		r.read(i)
	}
	if len(r.parts) == 0 {
		return false
	}
	w.buf = appendReadHead(w.buf, w.executor.version, len(r.parts))
	for i := range r.parts {
		r.reply(&r.parts[i])
	}
	return true
}

// mayReadGroups reports whether readGroups may reply. It is cheap.
func (w *response) mayReadGroups(x *keyargs.XRead) bool {
	for i, key := range x.Keys {
		st, g := w.group(key, x.Group)
		if g == nil || x.After[i].Kind != keyargs.NewForGroup || g.Last().Less(st.LastID()) {
			return true
		}
		if !x.Claims {
			continue
		}
		if at, ok := g.NextIdle(x.MinIdle); ok && at <= w.now() {
			return true
		}
	}
	return false
}

// most is how many entries of the next stream there may be.
func (r *groupRead) most() int {
	if r.x.Count > 0 {
		return int(min(r.x.Count, int64(r.left)))
	}
	return r.left
}

// read reads the stream of one key.
func (r *groupRead) read(i int) {
	p := groupPart{name: r.x.Keys[i]}
	var g *stream.Group
	p.stream, g = r.group(p.name, r.x.Group)
	consumer := r.consumer(p.stream, g, r.x.Consumer)
	if r.x.After[i].Kind != keyargs.NewForGroup {
		r.readHistory(&p, g, consumer, r.x.After[i].ID)
		r.parts = append(r.parts, p)
		return
	}
	most := r.most()
	if r.x.Claims && most > 0 {
		r.claim(&p, g, consumer, most)
		most -= len(p.claimed)
	}
	if most > 0 {
		c := r.change()
		p.fresh = r.streams().PlanDeliver(c, p.stream, g, consumer, most, r.x.NoAck)
		if p.fresh.Len() > 0 {
			r.apply(c)
		}
	}
	if n := len(p.claimed) + p.fresh.Len(); n > 0 {
		r.left -= n
		r.parts = append(r.parts, p)
	}
}

// claim claims entries that have been pending for too long.
func (r *groupRead) claim(p *groupPart, g *stream.Group, consumer *stream.Consumer, most int) {
	c := r.change()
	p.claimed = r.streams().PlanClaimOldest(c, p.stream, g, consumer, most, &stream.ClaimOptions{MinIdle: r.x.MinIdle, Time: c.Time})
	if len(c.IDs)+len(c.Gone) > 0 {
		r.apply(c)
	}
}

// readHistory reads what the consumer has behind an id. Entries that were deleted are shown without fields.
func (r *groupRead) readHistory(p *groupPart, g *stream.Group, consumer *stream.Consumer, after stream.ID) {
	p.isHistory = true
	from, ok := after.Next()
	most := r.most()
	if !ok || most == 0 {
		return
	}
	c := r.change()
	p.history = r.streams().PlanHistory(c, p.stream, g, consumer, from, most)
	if len(c.IDs) < len(p.history) {
		p.gone = make(map[stream.ID]bool)
		next := 0
		for _, pending := range p.history {
			if next < len(c.IDs) && c.IDs[next] == pending.ID() {
				next++
			} else {
				p.gone[pending.ID()] = true
			}
		}
	}
	if len(c.IDs) > 0 {
		r.apply(c)
	}
	r.left -= len(p.history)
}

// reply appends the entries of one stream.
func (r *groupRead) reply(p *groupPart) {
	if r.executor.readsDirectly() && !p.isHistory && !r.x.Claims && p.fresh.Len() > 0 {
		r.directPart(p)
		return
	}
	n := len(p.claimed) + p.fresh.Len() + len(p.history)
	r.buf = appendReadStream(r.buf, r.executor.version, p.name, n)
	switch {
	case p.isHistory:
		r.replyHistory(p)
	case r.x.Claims:
		r.replyClaimed(p)
	case p.fresh.Len() > 0:
		r.freshEntries(p.stream, p.fresh, &tails{})
	}
}

func (r *groupRead) replyHistory(p *groupPart) {
	var run []stream.ID // entries that exist, one behind the other
	for _, pending := range p.history {
		if !p.gone[pending.ID()] {
			run = append(run, pending.ID())
			continue
		}
		r.picked(p.stream, run, tails{})
		run = run[:0]
		r.array(2)
		r.ids([]stream.ID{pending.ID()})
		r.nullArray()
	}
	r.picked(p.stream, run, tails{})
}

// replyClaimed appends entries of four elements: how long each was idle, and how often it was delivered before, are the last ones.
func (r *groupRead) replyClaimed(p *groupPart) {
	now, ids, t := r.now(), make([]stream.ID, 0, len(p.claimed)), tails{}
	for _, pending := range p.claimed {
		ids = append(ids, pending.ID())
		t.add(max(pending.Idle(now), 0), int64(pending.Deliveries())) //nolint:gosec // 2^63-1 at most
	}
	r.picked(p.stream, ids, t)
	if p.fresh.Len() > 0 {
		r.freshEntries(p.stream, p.fresh, &newEntryTail)
	}
}

// blockGroupRead waits for entries that the group has not read.
func (w *response) blockGroupRead(x *keyargs.XRead) {
	after := make([]stream.ID, len(x.Keys))
	for i, name := range x.Keys {
		after[i] = w.streams().Lookup(name).LastID()
	}
	group := x.Group
	if len(x.Keys) > 1 || x.Claims {
		group = nil
	}
	w.block(x.Keys, after, x.Timeout, readLimits{}, group)
	c := w.executor.blockedClient()
	c.grouped = true
	if x.Claims {
		c.retryAt = w.nextClaim(x)
		c.end = c.deadline
		w.executor.service.streams.blocked.reschedule(c)
	}
}

// minRetry is how often, in milliseconds, a blocked XREADGROUP looks for entries to claim at most.
const minRetry = 1000

// nextClaim is when an entry may have been pending for so long as the command demands: what is delivered from now on has then, too.
func (w *response) nextClaim(x *keyargs.XRead) int64 {
	now := w.now()
	next := now + max(x.MinIdle, minRetry)
	for _, key := range x.Keys {
		if _, g := w.group(key, x.Group); g != nil {
			if at, ok := g.NextIdle(x.MinIdle); ok {
				next = min(next, max(at, now+1))
			}
		}
	}
	return next
}

// wakeGroup lets clients that wait for entries of a stream look again, at the end of the command: a group of it has changed.
func (w *response) wakeGroup(key []byte) {
	w.executor.service.streams.blocked.wake(string(key))
}

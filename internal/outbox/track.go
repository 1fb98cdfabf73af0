package outbox

import "unsafe"

// Track follows how far the kernel has taken the messages of one subscription, so that its position can be kept. An account has one
// only if that is wanted: FROM GROUP.
//
// The mutex of the outbox guards it, once it is in an account.
type Track struct {
	// live and replayed are the messages that wait: those of the core, and those of a replay, which stand in front.
	live, replayed runs
	// upTo is the number up to which all messages of the subscription have been queued, since it has joined.
	upTo uint64
	// next is the number of the next message that the replay looks at; 0 once it has ended.
	next uint64
	// floor is the lowest position that it has.
	floor uint64
	// closed means that a message is lost with its connection. The position, which is floor then, moves no further.
	closed bool
}

// NewTrack follows a subscription that gets the messages behind a number.
func NewTrack(position uint64) *Track { return &Track{floor: position, upTo: position} }

// runs are messages that wait, the oldest first. Those whose numbers follow each other are one run.
type runs struct {
	list  []run
	from  int // of the first one in the list
	count int // messages
	// lost is how many of them were dropped. It is unknown which: they go with the last one that waits.
	lost int
}

type run struct {
	first uint64
	count int
}

const runSize = int(unsafe.Sizeof(run{}))

// push adds messages, and returns how many bytes more they take.
func (r *runs) push(first uint64, count int) int {
	r.count += count
	if n := len(r.list); n > r.from {
		if last := &r.list[n-1]; last.first+uint64(last.count) == first { //nolint:gosec // a count
			last.count += count
			return 0
		}
	}
	r.list = append(r.list, run{first, count})
	return runSize
}

// pop removes the oldest messages, and returns how many bytes less they take.
func (r *runs) pop(count int) (freed int) {
	count = min(count, r.count)
	if r.count -= count; r.count <= r.lost {
		return r.clear()
	}
	for count > 0 {
		x := &r.list[r.from]
		n := min(count, x.count)
		count -= n
		x.first, x.count = x.first+uint64(n), x.count-n //nolint:gosec // a count
		if x.count == 0 {
			r.from++
			freed += runSize
		}
	}
	if r.from > len(r.list)/2 && r.from >= 64 { // the list is moved once for each so many that it has lost
		r.list = append(r.list[:0], r.list[r.from:]...)
		r.from = 0
	}
	return freed
}

func (r *runs) clear() (freed int) {
	freed = runSize * (len(r.list) - r.from)
	*r = runs{}
	return freed
}

// before returns the number before the oldest message, or a smaller one that is given.
func (r *runs) before(position uint64) uint64 {
	if r.count > 0 {
		return min(position, r.list[r.from].first-1)
	}
	return position
}

// stamp is the numbers of messages of a track, on their way into an outbox.
type stamp struct {
	track *Track
	run
}

// Stamp notes the numbers of messages that are added for a subscription with a track.
func (p *Unflushed) Stamp(t *Track, first uint64, count int) {
	p.stamps = append(p.stamps, stamp{t, run{first, count}})
}

// noteStampsLocked takes over the stamps of frames that the outbox takes.
func (o *Outbox) noteStampsLocked(p *Unflushed, replay bool) {
	for i := range p.stamps {
		switch s := &p.stamps[i]; {
		case s.track.closed:
		case replay:
			o.chargeMemory(s.track.replayed.push(s.first, s.count))
		default:
			s.track.upTo = s.first + uint64(s.count) - 1 //nolint:gosec // a count
			o.chargeMemory(s.track.live.push(s.first, s.count))
		}
	}
	clear(p.stamps)
	p.stamps = p.stamps[:0]
}

// takenLocked notes that the kernel has taken messages of an entry, and that the others are lost with the connection.
func (o *Outbox) takenLocked(t *Track, e *FrameInfo, written int) {
	if t.closed {
		return
	}
	list := &t.live
	if e.Kind == KindReplayed {
		list = &t.replayed
	}
	o.chargeMemory(-list.pop(written))
	if written < int(e.Count) {
		o.closeTrackLocked(t)
	}
}

// closeTrackLocked ends that a position moves.
func (o *Outbox) closeTrackLocked(t *Track) {
	if !t.closed {
		t.floor, t.closed = t.position(), true
		o.chargeMemory(-t.live.clear() - t.replayed.clear())
	}
}

// dropLocked notes that a policy has dropped messages. The position passes them with those that wait behind them.
func (o *Outbox) dropLocked(t *Track, count int) {
	if t.live.lost += count; t.live.lost >= t.live.count {
		o.chargeMemory(-t.live.clear())
	}
}

// position is the number up to which the kernel has taken everything.
func (t *Track) position() uint64 {
	if t.closed {
		return t.floor
	}
	p := t.upTo
	if t.next > 0 {
		p = t.next - 1
	}
	t.floor = max(t.floor, t.replayed.before(t.live.before(p)))
	return t.floor
}

// Position returns the number up to which the kernel has taken all messages of a subscription. If none waits, it is that of the
// last one that was queued, or looked at. closed means that it is final, because the connection has ended. Any goroutine may call it.
func (o *Outbox) Position(t *Track) (position uint64, waits, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return t.position(), t.live.count+t.replayed.count > 0, t.closed
}

// LookedAt notes that a joined subscription has got all messages up to that one: those that its predicate rejects are passed. The
// core calls it when nothing is unflushed.
func (o *Outbox) LookedAt(t *Track, sequence uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.upTo = max(t.upTo, sequence)
}

// LastQueued is the number of the last message that was queued or looked at, whether the kernel has it or not.
func (o *Outbox) LastQueued(t *Track) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t.next > 0 {
		return t.next - 1
	}
	return t.upTo
}

// Replays notes the number of the next message that the replay of a subscription looks at: those before it are queued. 0 ends the
// replay, whose subscription then gets what the core queues. Its feeder calls it, and the core before there is one.
func (o *Outbox) Replays(t *Track, next uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.next = next
}

// CloseTrack ends that a position moves, and returns it. The core calls it.
func (o *Outbox) CloseTrack(t *Track) (position uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closeTrackLocked(t)
	return t.floor
}

package command

import (
	"strings"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/stream"
)

// replay is a subscription that starts in the past, until it joins. The reader makes it, the core completes it. From then on the
// feeder owns it, but for dropped and starting.
type replay struct {
	from      position.Position
	clause    string            // its text
	predicate *filter.Predicate // nil if there is none
	// command is shared by the replays of one command.
	command *replayCommand

	sub     *broker.Subscription
	account *outbox.Account
	// cursor is the position that the subscription moves; nil mostly.
	cursor *heldCursor
	// after is the number of the last message before the subscription was made.
	after uint64

	// logged is the number of a position of an earlier epoch in the log; 0 if the log does not have it.
	logged uint64
	// durable: it gets entries of durable topics. plain: it gets recent messages. globs were in force at the confirmation. The core sets
	// them.
	durable, plain bool
	globs          *stream.Globs

	// dropped means that the subscription has ended, starting that it is in the feeder's list of these. The
	// feeder's mutex guards both.
	dropped, starting bool

	// saved: pending has noted what it was.
	saved bool
	// order is its place among the replays of a pass.
	order int
	// start is the number of the first message that it gets.
	start uint64
	// missed means that messages before start are missing, in an unknown number, and are yet to be reported.
	missed bool
	// exact: an entry is at the position, so nothing in front of it is missing.
	exact bool
	// lost is how many entries are missing behind the last message, and are yet to be reported.
	lost uint64
	// recentFrom is the number from which on recent messages that are gone are reported, if it gets entries, too.
	recentFrom uint64
	// previous is the number of the last message that it got.
	previous uint64
	// gone means that it gets nothing more, ends that this is so since the last step of the pass.
	gone, ends bool
	// joined is set at the join.
	joined bool
}

// replayCommand is a command whose subscriptions start in the past. Its replays begin together, for they are to be in one pass. One
// with more than maxNames names comes in pieces, and its replays are held until the last of these. The core owns it, once the
// reader has made it.
type replayCommand struct {
	long bool
	held []*replay // in the order of the names
}

// replayCost is about what a replay takes in memory.
const replayCost = 500

// Deferred implements [broker.Replayer]. The replay begins at the flush, behind the confirmation.
//
// A subscription that starts with the next message has nothing to wait for. If no messages are kept, that is so for all, and
// those that have missed something get a report.
func (e *executor) Deferred(s *broker.Subscription, start any, last uint64, v broker.View) (later bool) {
	r := start.(*replay)
	if r.from.Kind == position.Group {
		e.startCursor(r, s, last, v)
	}
	if later = e.deferReplay(r, s, last); r.cursor != nil && !later {
		r.cursor.join(last)
		e.outbox.Replays(r.cursor.track, 0)
	}
	return later
}

// deferReplay has a replay begin at the flush, if there is something to wait for.
func (e *executor) deferReplay(r *replay, s *broker.Subscription, last uint64) (later bool) {
	r.sub = s
	e.place(r)
	isKept := r.durable || e.service.recent != nil
	if n := r.from.Number; r.from.Kind == position.Number {
		ours := r.from.Epoch == "" || r.from.Epoch == e.service.Epoch()
		if !ours && !r.plain && r.logged > 0 {
			n, ours = r.logged, true
		}
		next := ours && n == last+1
		if next && (!r.command.long || !isKept) { // the first names of a long one would run ahead of the last
			return false
		}
		if !isKept || ours && n > last && !next {
			e.confirm().unknown = append(e.confirm().unknown, s)
			return false
		}
	}
	f := e.feeder.Load()
	if f == nil {
		f = newFeeder(e.Conn)
		e.feeder.Store(f)
	}
	r.account, r.after = accountOf(s), last
	f.waiting[s] = r
	if r.command.long {
		r.command.held = append(r.command.held, r)
	} else {
		f.deferred = append(f.deferred, r)
	}
	e.chargeReplays(f)
	return true
}

// endLong begins the replays of a command that came in pieces, once the last of these is applied.
func (e *executor) endLong(l *longCommand) {
	if l.replays == nil || len(l.replays.held) == 0 || e.closing {
		return
	}
	f := e.feeder.Load()
	f.deferred, l.replays.held = append(f.deferred, l.replays.held...), nil
}

// reportUnknown reports, behind a confirmation, what is missing where no replay is possible.
func (e *executor) reportUnknown() {
	for _, s := range e.confirming.unknown {
		e.queued().Add(outbox.Fragment{Bytes: outbox.AppendMissed(nil, e.format(s.Form), s.Name(), -1)}, outbox.FrameInfo{Kind: outbox.KindOther})
	}
	e.confirming = nil
}

// isReplaying reports whether messages older than the present position are yet to come.
func (e *executor) isReplaying() bool { return e.numReplaying() > 0 }

// numReplaying is how many subscriptions have not joined.
func (e *executor) numReplaying() int {
	if f := e.feeder.Load(); f != nil {
		return len(f.waiting)
	}
	return 0
}

// Dropped implements [broker.Replayer]: nothing more of the replay is queued, so that nothing of it follows the confirmation.
func (e *executor) Dropped(s *broker.Subscription) {
	f := e.feeder.Load()
	if h := f.waiting[s].cursor; h != nil {
		h.dropped = true
	}
	f.mu.Lock()
	f.dropLocked(f.waiting[s])
	f.mu.Unlock()
	delete(f.waiting, s)
	e.chargeReplays(f)
}

// chargeReplays counts the replays as memory.
func (e *executor) chargeReplays(f *feeder) {
	e.service.memory.SetUsage(&e.usage.replays, replayCost*len(f.waiting))
}

// addToOutbox moves the unflushed frames to the outbox, and reports whether a writer must be started. Replays begin behind
// their confirmation. Frames of a replay must not follow the reply that changes their format.
func (e *executor) addToOutbox() (start bool) {
	if f := e.feeder.Load(); f != nil && (len(f.waiting)+len(f.deferred) > 0 || f.unsubscribed) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.dropUnsubscribedLocked()
		if now := e.replayFormats(); now != f.formats {
			f.formats = now
			f.generation++
		}
		defer func() {
			f.startLocked(f.deferred)
			f.deferred = nil
		}()
	}
	if e.unflushed != nil {
		start = e.outbox.Add(e.unflushed, e.lastMessageBytes)
		e.unflushed.Recycle()
	}
	return start
}

// replayFormats are the formats of the two forms of subscriptions.
func (e *executor) replayFormats() [broker.Forms]outbox.Format {
	return [broker.Forms]outbox.Format{formRESP: e.format(formRESP), formLine: e.format(formLine)}
}

// joinReplays joins the subscriptions of a pass at one instant of the order, on the core's goroutine.
func (e *executor) joinReplays(v broker.View, p *pass) {
	s := &e.service.streams
	if p.history == nil && e.turnDurable(p.replays) {
		p.turned = true
		return
	}
	for _, r := range p.replays {
		last, previous, ok := v.Join(r.sub)
		if r.gone = !ok; !ok {
			continue
		}
		delete(p.waiting, r.sub)
		r.joined, p.last = true, last
		r.account.LastSeq = max(r.previous, previous)
		if r.cursor != nil {
			r.cursor.join(last)
		}
	}
	e.chargeReplays(p.feeder)
	if p.next > p.last { // there is no rest, or nothing has joined
		p.endReplays()
		return
	}
	if p.history != nil {
		s.closeRecord() // it may have some of the rest
		p.history.fix(p.last)
	}
	e.Flush() // what is queued so far stands in front of the mark
	e.outbox.AddMark(&p.mark)
	p.formats, p.marked = e.replayFormats(), true
	p.mu.Lock()
	p.joined, p.unsubscribed = p.replays, false
	p.mu.Unlock()
	if e.service.recent != nil {
		p.rest, p.evicted = e.service.recent.Chunks(p.next)
	}
}

// turnDurable has replays get entries, too, if other topics are durable than at their confirmation. What was published to these since is
// in the log alone.
func (e *executor) turnDurable(replays []*replay) (turned bool) {
	now := e.service.streams.state.Durable()
	for _, r := range replays {
		turned = turned || now != nil && r.globs != now
	}
	if turned {
		e.usesStreams()
		for _, r := range replays {
			r.durable, r.plain = true, true
		}
	}
	return turned
}

// matchesAll reports whether a glob matches every topic.
func matchesAll(glob string) bool { return glob != "" && strings.Trim(glob, "*") == "" }

// isLiteral reports whether a glob matches one topic alone, itself.
func isLiteral(glob string) bool { return !strings.ContainsAny(glob, `*?[\`) }

package command

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
)

const (
	// maxAhead is how many replayed bytes may wait in an outbox: above it, the feeder waits for the writer.
	maxAhead = 256 << 10
	// maxPass bounds the replays of one pass, which join at one instant: within one command of so many names, clients rely on the
	// one order.
	maxPass = 10_000
	// maxDropped is how many dropped replays may stay in the list of those that start.
	maxDropped = 1000
)

// feeder gives a connection the messages of the past with which its subscriptions start. It is a goroutine beside the reader
// while there are any. The executor makes it; the reader stops it and waits for its end, in Leave.
//
// It makes passes over the recent messages, each for all replays that have begun by then. So the 1,000 subscriptions of a
// client that comes back cost one pass.
type feeder struct {
	conn    *Conn
	running sync.WaitGroup
	// stopping is raised when the connection has left the core.
	stopping abortSignal
	// wake makes the feeder look again whether there is room.
	wake chan struct{}

	// at is the number of the next message that a pass looks at, for WHY. The feeder sets it.
	at atomic.Uint64

	// waiting are the replays that have not joined, deferred those of them that begin at the next flush. The core owns both.
	waiting  map[*broker.Subscription]*replay
	deferred []*replay
	// unsubscribed means that the connection has left names since the last flush. The core owns it.
	unsubscribed bool

	// mu is held while either side adds to the outbox. It guards what follows.
	mu sync.Mutex
	// starting are the replays of the next passes.
	starting []*replay
	// startingDropped is how many of them are dropped.
	startingDropped int
	// formats are those of the frames to add.
	formats [broker.Forms]outbox.Format
	// generation counts what makes frames void that are encoded and not yet added: a replay is dropped, or a format changes.
	generation int
	active     bool
	// joined are the replays whose rest is being added, nil if there are none. Those among them that have not joined are gone.
	joined []*replay
}

func newFeeder(c *Conn) *feeder {
	return &feeder{conn: c, wake: make(chan struct{}, 1), waiting: make(map[*broker.Subscription]*replay)}
}

// startLocked begins replays. The core calls it.
func (f *feeder) startLocked(replays []*replay) {
	if len(replays) == 0 {
		return
	}
	for _, r := range replays {
		if !r.dropped {
			r.starting = true
			f.starting = append(f.starting, r)
		}
	}
	if !f.active {
		f.active = true
		f.running.Go(f.run)
	}
}

// dropLocked marks a replay as dropped. Those that no pass has taken go soon: a client may subscribe and unsubscribe
// a million times during one pass. The core calls it.
func (f *feeder) dropLocked(r *replay) {
	r.dropped = true
	f.generation++
	if !r.starting {
		return
	}
	if f.startingDropped++; f.startingDropped > maxDropped && f.startingDropped > len(f.starting)/2 {
		f.starting = slices.DeleteFunc(f.starting, func(r *replay) bool { return r.dropped })
		f.startingDropped = 0
	}
}

// dropUnsubscribedLocked drops replays that have joined, and whose subscription has ended: work for them would be lost. The core
// calls it.
func (f *feeder) dropUnsubscribedLocked() {
	if f.unsubscribed {
		for _, r := range f.joined {
			r.dropped = r.dropped || r.joined && !r.sub.Joined()
		}
	}
	f.unsubscribed = false
}

// stop ends the feeder, once the connection has left the core.
func (f *feeder) stop() {
	f.stopping.raise()
	f.running.Wait()
}

// writerProgressed makes the feeder look for room. The writer calls it.
func (f *feeder) writerProgressed() {
	select {
	case f.wake <- struct{}{}:
	default: // it will look
	}
}

// run is the goroutine: pass after pass. A defect in it ends this connection alone.
func (f *feeder) run() {
	defer func() {
		if p := recover(); p != nil {
			f.conn.LogPanic(p)
			f.conn.End(CloseReasonPanic)
		}
	}()
	for replays := f.takeStarting(); len(replays) > 0; replays = f.takeStarting() {
		newPass(f, replays).run()
	}
}

// takeStarting takes the replays of the next pass. Without any the goroutine ends.
func (f *feeder) takeStarting() (replays []*replay) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopping.raised.Load() {
		f.starting, f.startingDropped = nil, 0
	}
	for len(replays) == 0 && len(f.starting) > 0 {
		n := f.nextPass()
		for _, r := range f.starting[:n] {
			if r.starting = false; r.dropped {
				f.startingDropped--
			} else {
				replays = append(replays, r)
			}
		}
		f.starting = f.starting[n:]
	}
	if len(replays) == 0 {
		f.active, f.starting = false, nil
	}
	return replays
}

// nextPass is how many of the starting replays make the next pass: all of a command, unless those are too many.
func (f *feeder) nextPass() (n int) {
	for end := 0; end < len(f.starting) && end < maxPass; {
		if end++; end == len(f.starting) || f.starting[end].command != f.starting[end-1].command {
			n = end
		}
	}
	if n == 0 {
		n = maxPass
	}
	return n
}

// awaitRoom waits until no more than so many bytes wait for the writer. False means that the connection ends.
func (f *feeder) awaitRoom(most int64) bool { return f.awaitRoomUntil(most, nil) }

// awaitRoomUntil is awaitRoom for a limited time. False means as well that it is over.
func (f *feeder) awaitRoomUntil(most int64, over <-chan time.Time) bool {
	for f.conn.outbox.ReplayBytes() > most {
		select {
		case <-f.wake:
		case <-over:
			return false
		case <-f.stopping.done():
			return false
		}
	}
	return !f.stopping.raised.Load()
}

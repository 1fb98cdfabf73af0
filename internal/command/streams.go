package command

import (
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

const (
	// maxRecord is the size from which on a record takes no further command.
	maxRecord = 64 << 10
	// maxKeptRecord is the size up to which the memory of a record is used again.
	maxKeptRecord = 1 << 20
	// maxDuePerRound bounds the changes of one round that only the passing of time causes. What is due and still there is
	// missing for all commands.
	maxDuePerRound = 16
)

// streams is the core's side of all streams: their state, the record of the changes of this round, and the clients that wait.
//
// A change takes effect at once. Its record goes to the log at the end of the round, one for all changes, and in front of the
// flush. Its number is known before, since the core alone appends.
type streams struct {
	service *Service
	store   Store // nil: there are no streams
	state   *stream.Streams
	// change is the one that a handler makes. It is a field so that it needs no allocation.
	change stream.Change
	// add is an XADD; a field for the same reason.
	add  parsedAdd
	text entryText
	// headers are those of the entry that is being delivered.
	headers headers
	// durable are the names of durable topics, for readers. The core changes them; its own are in the state.
	durable atomic.Pointer[stream.Globs]
	// durableChange wakes the goroutines that wait for other names. The core holds its mutex for an instruction or two.
	durableChange wakeUp
	// now is the log's clock in this round; 0 before it is read.
	now int64
	// payload is the record of this round, number its number. It is 0 while there is none.
	payload []byte
	number  uint64
	// hasEntries: the record has an entry, which can be read once it is closed.
	hasEntries bool
	// newestEntry is the sequence number of the newest entry, or a larger one before the first of this start.
	newestEntry uint64
	// inExec: a transaction is being applied, whose changes stay in one record.
	inExec bool
	// entry is that of the order of all nodes, if there are several.
	entry orderedRound
	// unpinned are replies with entries that are yet to be pinned: the open record may hold some of them.
	unpinned []*fill
	// synced is the number of the last record that is on disk. The log sets it.
	synced atomic.Uint64
	// leftWatched are keys of connections that no longer watch them: see unwatchAll.
	leftWatched [][]watchedKey
	// deadline is the last one that the store got.
	deadline int64
	// replaced: the log has failed, and the state is that of the last safe record.
	replaced bool

	// durableSince is the number from which on the present topics are durable; 0 if they were from the start.
	durableSince uint64

	// missed counts entries that went before a group had read them, since the start.
	missed   uint64
	blocked  blockedClients
	upcoming [upcomingStreams]upcomingSlot
}

func (s *streams) init(service *Service, store Store) {
	s.service, s.store, s.state = service, store, stream.New() // without a store it stays empty
	if store != nil {
		s.state = store.Streams()
		s.durable.Store(s.state.Durable())
		s.newestEntry = s.state.Sequence()
		s.synced.Store(store.Last()) // what it has found is safe
		service.Counts.messages.Released.Store(store.Last())
	}
	s.blocked.init(s)
	s.entry.abandoned = make(chan struct{})
}

// beginRound reads the clock, and applies what is due by it. Commands of one round have one time.
func (s *streams) beginRound(v broker.View) {
	switch {
	case s.now != 0:
		return
	case s.service.options.Order != nil:
		s.beginLocalRound()
		return
	}
	s.now = s.store.Now()
	s.state.SetNow(s.now)
	if s.store.Failed() != nil {
		return
	}
	c := s.begin()
	for n := 0; n < maxDuePerRound && s.state.PlanDue(c); n++ {
		s.apply(v, c)
		c = s.begin()
	}
}

// begin returns the change to plan.
func (s *streams) begin() *stream.Change {
	s.change.Reset()
	s.change.Time = s.now
	return &s.change
}

// apply makes a change that is planned, and adds it to the record of the round.
func (s *streams) apply(v broker.View, c *stream.Change) {
	invariant.Check(s.service.options.Order == nil || s.entry.open, "a change of what nodes share is not in their order")
	switch {
	case c.Kind == stream.Add && c.Sequence == 0: // else it has the number of a publish
		c.Sequence = v.Append()
	case !c.Adds():
		c.Sequence = max(v.Stats().Sequence, s.newestEntry) // the entries of a publish come before its numbers are taken
	}
	if c.Adds() {
		s.hasEntries, s.newestEntry = true, c.Sequence+uint64(c.Entries())-1 //nolint:gosec // a count
	}
	if s.number == 0 {
		s.number = s.store.Last() + 1
		s.payload = stream.BeginRecord(s.payload[:0], c.Sequence, c.Time)
	}
	s.payload = stream.AppendChange(s.payload, c)
	s.blocked.wakeRemoved(c)
	if c.Kind == stream.Durable {
		s.durableSince = c.Sequence + 1
	}
	result := s.state.Apply(c)
	if result.Removed > 0 {
		s.store.Died(result.Removed)
	}
	if result.Missed > 0 {
		s.reportMissed(&result)
	}
	switch {
	case c.Adds():
		s.blocked.added(c, &result)
	case c.Kind == stream.Durable:
		s.durable.Store(s.state.Durable())
		s.durableChange.wake()
	}
}

// appendRun appends messages as entries, whose sequence numbers are those of the publishes, from the first one's on.
func (s *streams) appendRun(v broker.View, name []byte, messages [][]byte, sequence uint64) error {
	for len(messages) > 0 {
		c := s.begin()
		n, err := s.state.PlanRun(c, name, messages)
		if err != nil {
			return err //nolint:wrapcheck // it says all
		}
		c.Sequence = sequence
		s.apply(v, c)
		c.Messages = nil                                      // they alias the batch
		messages, sequence = messages[n:], sequence+uint64(n) //nolint:gosec // a count
	}
	return nil
}

// endCommand comes behind each command that uses keys, and behind each transaction.
func (s *streams) endCommand(v broker.View) {
	if s.isHeld() {
		return
	}
	s.blocked.serve(v)
	if len(s.payload) >= maxRecord {
		s.closeRecord()
	}
}

// closeRecord appends the record, and pins what replies are to show.
func (s *streams) closeRecord() {
	if s.isHeld() {
		return
	}
	s.hasEntries = false
	if s.number != 0 {
		s.store.Append(s.payload)
		if s.number = 0; cap(s.payload) > maxKeptRecord {
			s.payload = nil
		}
		s.payload = s.payload[:0]
	}
	s.pin()
}

// pin pins what replies are to show, once no entry of it is in an open record.
func (s *streams) pin() {
	for i, f := range s.unpinned {
		f.pin(s.store)
		s.unpinned[i] = nil
	}
	s.unpinned = s.unpinned[:0]
}

// makeReadable makes all entries readable outside of transactions. It closes a record only for these: XREADGROUP changes groups
// each time.
func (s *streams) makeReadable() {
	switch {
	case s.isHeld():
	case s.hasEntries:
		s.closeRecord()
	default:
		s.pin()
	}
}

// endRound comes in front of each flush.
func (s *streams) endRound() {
	if s.now == 0 || s.isHeld() {
		return
	}
	s.closeRecord()
	s.now = 0
	s.announce()
}

// announce passes the next deadline to the store.
func (s *streams) announce() {
	next := s.blocked.nextTimeout()
	if at, ok := s.state.NextDeadline(); ok && (next == 0 || at < next) && s.store.Failed() == nil && s.mayTick() {
		next = at // nothing is applied once the log has failed
	}
	if next != s.deadline {
		s.deadline = next
		s.store.SetDeadline(next)
	}
}

// newest is the number of the last record with a change, the open one included.
func (s *streams) newest() uint64 {
	if s.number != 0 {
		return s.number
	}
	return s.store.Last()
}

// hold makes the next frames of a connection wait for all changes so far, if the policy demands it.
func (s *streams) hold(e *executor) {
	e.holdFor(s.barrier())
}

// keyUse is how a command uses keys.
type keyUse uint8

const (
	usesNone keyUse = iota
	usesRead
	usesWrite // it may change keys
	usesAdd   // it may add to them
)

// useKeys prepares a command that uses keys, and returns why it cannot run.
func (s *streams) useKeys(w *response, use keyUse) *protocol.Error {
	switch {
	case s.store == nil && use == usesRead && !w.inv.mayBlock(): // there are no keys
		return nil
	case s.store != nil && w.executor.database != 0:
		return errOtherDatabase
	}
	return s.useState(w, use)
}

// useState prepares a command that uses the state, in any database, and returns why it cannot run.
func (s *streams) useState(w *response, use keyUse) *protocol.Error {
	if s.store == nil {
		return errNoStreams
	}
	s.beginRound(w.view)
	err := s.store.Failed()
	switch {
	case use == usesAdd && err == nil:
		err = s.store.Err()
	case use == usesRead && !s.isBehind():
		return nil
	}
	if err != nil {
		return errMisconf(err)
	}
	return nil
}

// errMisconf is Redis' error for a log that does not take anything.
func errMisconf(err error) *protocol.Error {
	return &protocol.Error{Code: protocol.CodeMisconf, Text: "Errors writing to the AOF file: " + err.Error()}
}

// isBehind reports whether the state has changes that are not safe: they never will be if the log has failed.
func (s *streams) isBehind() bool {
	return s.store != nil && !s.replaced && s.store.HasBarriers() && s.newest() > s.service.Counts.messages.Released.Load()
}

var (
	errNoStreams     = protocol.Errorf("streams are not available here")
	errOtherDatabase = protocol.Errorf("streams are in database 0 only; type: SELECT 0")
	errOOM           = &protocol.Error{Code: protocol.CodeOOM, Text: "command not allowed when used memory > 'maxmemory'."}
)

// Replace makes streams as of the last safe record those that are served, after the log has failed. Any goroutine but the core's
// may call it.
func (s *Service) Replace(state *stream.Streams) {
	if s.options.Order != nil {
		return // a node whose log has failed stops: it must not go on from an older state
	}
	s.runOnCore(func(broker.View) {
		for _, e := range s.clients() {
			e.unwatchAll()
		}
		s.streams.leftWatched = nil // of the state that goes
		s.streams.state, s.streams.replaced = state, true
		s.streams.durable.Store(state.Durable())
	})
}

// RunOnCore runs a function on the core's goroutine, between two records, and on a node of a cluster between two entries: the core comes to an
// entry several times, and what it has changed so far is in no record. The function is to be short. RunOnCore returns false if the core has
// stopped, or if an entry will never end. The core itself must not call it.
func (s *Service) RunOnCore(f func(broker.View)) bool {
	x := &s.streams
	var done chan struct{} // if the function comes behind an entry
	if !s.runOnCore(func(v broker.View) {
		if x.entry.open {
			done = make(chan struct{})
			x.entry.behind = append(x.entry.behind, func(v broker.View) { f(v); close(done) })
			return
		}
		x.closeRecord()
		f(v)
	}) {
		return false
	}
	if done == nil {
		return true
	}
	select {
	case <-done:
		return true
	case <-x.entry.abandoned:
	case <-s.core.Stopped():
	}
	return false
}

// Tick applies what is due by the log's clock. It comes at the deadline of the store; any goroutine but the core's may call it.
func (s *Service) Tick() {
	s.runOnCore(func(v broker.View) {
		s.streams.deadline = 0 // that of the store is over
		s.streams.beginRound(v)
		s.streams.blocked.expire(v)
		if s.options.Order != nil {
			s.streams.proposeTick()
		}
	})
}

// streams is the state, for handlers. They keep no pointer into it.
func (w *response) streams() *stream.Streams { return w.executor.service.streams.state }

// now is the log's clock, one time for all commands of a round.
func (w *response) now() int64 { return w.executor.service.streams.now }

// change returns the change to plan.
func (w *response) change() *stream.Change { return w.executor.service.streams.begin() }

// apply makes a planned change.
func (w *response) apply(c *stream.Change) {
	w.executor.service.streams.apply(w.view, c)
}

// reportMissed counts entries that went before a group had read them. The log has a line for each group, at the first one.
func (s *streams) reportMissed(r *stream.Result) {
	s.missed += r.Missed
	for _, m := range r.FirstMiss {
		s.service.options.Log.Warn().Str("stream", m.Stream).Str("group", m.Group).
			Msg("a consumer group misses entries: retention or a trim takes them before the group has read them")
	}
}

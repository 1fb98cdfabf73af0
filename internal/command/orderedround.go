package command

import (
	"encoding/binary"
	"hash/crc32"
	"sync"

	"github.com/conchmq/conch/broker"
)

// orderedRound is the state of streams as one of several nodes has it. All changes of an entry are in one record, with the state of the
// cluster behind it: no crash parts them. It belongs to the core.
type orderedRound struct {
	open bool  // an entry is being applied
	time int64 // of the last entry, in milliseconds; it never goes back
	// last is the state of the cluster behind the last entry, unsaved how many entries its record is behind.
	unsaved int
	last    []byte
	origin  origin // of the entry
	ticking bool   // it is proposed that time passes
	// behind are functions that the core runs once the entry has ended.
	behind []func(broker.View)
	// abandoned is closed by the applier if an entry does not end, because the node stops. Other goroutines wait for it.
	abandoned chan struct{}
	abandon   sync.Once
	// refused is how many commands of the entry had no rights, and usersSet means that one of them sets users: no change of streams
	// shows either.
	refused  uint64
	usersSet bool
}

// saveEvery is after how many entries the state of the cluster is saved if none of them has changed streams: as many are applied again
// after a crash, at most.
const saveEvery = 1000

// tickToken is the token of an entry that only lets time pass.
type tickToken struct{}

// clusterSource is the name under which the streams keep what the cluster needs. No source can have it.
const clusterSource = "\x00cluster"

// The texts that are kept.
const (
	clusterState = "state"
	clusterEpoch = "epoch"
	clusterUsers = "users"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// isHeld reports whether changes stay in the open record.
func (s *streams) isHeld() bool { return s.inExec || s.entry.open }

// beginEntry begins an entry, with what is due by its time.
func (s *streams) beginEntry(v broker.View, at int64) {
	s.endRound()
	e := &s.entry
	e.open, e.time, e.refused, e.usersSet = true, max(e.time, at), 0, false
	s.now = e.time
	s.state.SetNow(s.now)
	c := s.begin()
	for n := 0; n < maxDuePerRound && s.state.PlanDue(c); n++ {
		s.apply(v, c)
		c = s.begin()
	}
}

// endEntry ends an entry: finish gets the digest of all that it has changed, and returns the state of the cluster behind it.
func (s *streams) endEntry(v broker.View, finish func(digest uint64) []byte) {
	e := &s.entry
	var payload []byte
	if s.number != 0 {
		payload = s.payload
	}
	rest := binary.LittleEndian.AppendUint64(nil, v.Stats().Sequence)
	if rest = binary.LittleEndian.AppendUint64(rest, e.refused); e.usersSet {
		rest = s.service.access.appendRules(rest)
	}
	e.last = finish(uint64(crc32.Update(crc32.Checksum(payload, castagnoli), castagnoli, rest)))
	s.saveUsers(v) // behind that: tokens expire by the clock of each node
	if e.unsaved++; s.number != 0 || e.unsaved >= saveEvery {
		s.saveState(v, e.last)
	}
	e.open = false
	s.closeRecord()
	s.blocked.serve(v)
	s.now = 0
	s.announce()
	for i, f := range e.behind {
		f(v)
		e.behind[i] = nil
	}
	e.behind = e.behind[:0]
}

// abandonEntry ends the waits for the end of an entry. Any goroutine may call it.
func (s *streams) abandonEntry() { s.entry.abandon.Do(func() { close(s.entry.abandoned) }) }

// dropEntry ends an entry that does not take effect.
func (s *streams) dropEntry() { s.entry.open, s.now = false, 0 }

// saveState adds the state of the cluster to the record, with the time of the order.
func (s *streams) saveState(v broker.View, state []byte) {
	text := binary.LittleEndian.AppendUint64(nil, uint64(s.entry.time)) //nolint:gosec // and back
	s.setText(v, clusterState, append(text, state...))
	s.entry.unsaved = 0
}

// setText keeps a text for the cluster. An empty one is removed.
func (s *streams) setText(v broker.View, name string, text []byte) {
	c := s.begin()
	if len(text) == 0 {
		if s.state.PlanRemoveSourcePosition(c, clusterSource, name) {
			s.apply(v, c)
		}
		return
	}
	if changes, err := s.state.PlanSetText(c, clusterSource, name, text); err == nil && changes { // those that may be many have left room
		s.apply(v, c)
	}
}

// setNamedText is setText for one of the texts that grow in number with names: without room it changes nothing, on no node.
func (s *streams) setNamedText(v broker.View, name string, text []byte) {
	if len(text) == 0 || s.state.HasRoomForText(clusterSource, name) {
		s.setText(v, name, text)
	}
}

// beginLocalRound begins a round between two entries: nothing changes in it.
func (s *streams) beginLocalRound() {
	s.now = s.store.Now()
	s.state.SetNow(s.entry.time)
}

// localNow is the clock by which clients wait. That of an entry may be the clock of another node.
func (s *streams) localNow() int64 {
	if s.service.options.Order != nil {
		return s.store.Now()
	}
	return s.now
}

// mayTick reports whether this node lets time pass for what is due: alone, or as the leader. Nothing comes before the founding, which
// compares states.
func (s *streams) mayTick() bool {
	o := s.service.options.Order
	return o == nil || !s.entry.ticking && s.service.isFounded.Load() && o.Leads()
}

// proposeTick proposes an entry that lets time pass, if anything is due.
func (s *streams) proposeTick() {
	at, ok := s.state.NextDeadline()
	if ok && at <= s.now && s.mayTick() && s.store.Failed() == nil {
		s.entry.ticking = s.service.options.Order.Propose(nil, tickToken{}) == nil
	}
}

// saveUsers keeps the users, if the entry has changed them.
func (s *streams) saveUsers(v broker.View) {
	if a := s.service.access; a.changed {
		a.changed = false
		s.setText(v, clusterUsers, a.users.Text())
	}
}

package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/conchmq/conch/internal/log"
)

// logStore is raft's log in a [log.Log]: an entry is a record, its index the record's number. The newest entries are kept in memory as well, because
// each follower is sent them one by one.
type logStore struct {
	*log.Log
	failed func(error)
	// unsynced leaves the syncs out, in tests.
	unsynced bool
	// raft is nil until it runs.
	raft    atomic.Pointer[raft.Raft]
	backlog backlog

	mu     sync.RWMutex
	recent []*raft.Log // consecutive entries up to the last one
	size   int         // bytes of recent
	ahead  []*raft.Log // consecutive entries that were read last
	stored int64       // bytes since the start
	before raft.Log    // the entry that the last snapshot ends with: its index and its term
}

const (
	recentBytes = 16 << 20
	aheadBytes  = 4 << 20
	segmentSize = 16 << 20 // four times what is read at once
	entryCost   = 160      // bytes of memory beside the data
)

// repair drops the entries up to the damaged ones, if the state of a snapshot has them. What another node has sent is such a state: the log ends
// before it, until the next entry comes.
func (s *logStore) repair(damages []log.Damage, snapshot uint64) error {
	last := uint64(0)
	for _, d := range damages {
		if d.Last > snapshot {
			return fmt.Errorf("the log of the cluster is damaged (%w): remove the node and add it anew, with empty directories", &d)
		}
		last = max(last, d.Last)
	}
	switch {
	case last == 0:
		return nil
	case last >= s.Last():
		return s.Reset(last + 1)
	}
	return s.DropHead(last + 1)
}

func (s *logStore) FirstIndex() (uint64, error) {
	if s.Head() > s.Last() {
		return 0, nil
	}
	return s.Head(), nil
}

func (s *logStore) LastIndex() (uint64, error) {
	if s.Head() > s.Last() {
		return 0, nil
	}
	return s.Last(), nil
}

// GetLog returns an entry. The one that the last snapshot ends with has its index and its term, also if it is gone: raft compares it with the
// leader's if this node has entries behind it. Without it the leader would send the snapshot again and again, without a pause.
func (s *logStore) GetLog(index uint64, out *raft.Log) error {
	if l := s.inMemory(index); l != nil {
		*out = *l
		return nil
	}
	if index >= s.Head() {
		return s.readAhead(index, out)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if index != s.before.Index {
		return raft.ErrLogNotFound
	}
	*out = s.before
	return nil
}

// follow makes the log one that follows a snapshot. If its own entry there is of another term, all up to it were never committed, and go: raft
// would send them to others once this node leads. What is behind them raft compares one by one.
func (s *logStore) follow(index, term uint64) error {
	s.mu.Lock()
	s.before = raft.Log{Index: index, Term: term, Type: raft.LogNoop}
	s.mu.Unlock()
	s.backlog.applied(index)                  // the machine has the state
	if index < s.Head() || index > s.Last() { // behind the last one, StoreLogs begins anew
		return nil
	}
	var own raft.Log
	if err := s.GetLog(index, &own); err == nil && own.Term == term {
		return nil
	}
	s.drop(0, index)
	return s.DropHead(index + 1)
}

// readAhead reads an entry from the files, and those behind it. raft reads entries one by one, and each search begins at the start of a segment.
func (s *logStore) readAhead(index uint64, out *raft.Log) error {
	var read []*raft.Log
	size := 0
	err := s.Scan(index, s.Last(), func(r log.Record) error {
		l, err := fromRecord(r)
		if err != nil {
			return err
		}
		read, size = append(read, &l), size+len(l.Data)+entryCost
		if size > aheadBytes {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if len(read) == 0 || read[0].Index != index {
		return raft.ErrLogNotFound
	}
	*out = *read[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead = read
	return nil
}

func fromRecord(r log.Record) (raft.Log, error) {
	if len(r.Payload) < 4 {
		return raft.Log{}, errEntry
	}
	payload := bytes.Clone(r.Payload)
	n := binary.LittleEndian.Uint32(payload)
	if int(n) > len(payload)-4 {
		return raft.Log{}, errEntry
	}
	return raft.Log{Index: r.Number, Term: r.Term, Type: raft.LogType(r.Kind), Extensions: payload[4 : 4+n], Data: payload[4+n:]}, nil
}

func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs returns once the disk has the entries: raft promises them then.
//
// What a leader proposes is still on its way to the disk while the other nodes get it. raft counts it as safe too early, and so no node
// applies it before the leader's disk has it: see waitSynced and announced. Another leader commits it by an entry of its own term alone,
// and when this node has stored that, its disk has all before it.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	if r := s.raft.Load(); r != nil {
		s.backlog.wait(r.CommitIndex())
	}
	if first := logs[0].Index; first > s.Last()+1 { // behind a snapshot that another node has sent
		if err := s.Reset(first); err != nil {
			return s.fail(err)
		}
	}
	var payload []byte
	for _, l := range logs {
		payload = binary.LittleEndian.AppendUint32(payload[:0], uint32(len(l.Extensions))) //nolint:gosec // short
		payload = append(append(payload, l.Extensions...), l.Data...)
		if n := s.AppendTerm(l.Term, byte(l.Type), payload); n != l.Index {
			return s.fail(fmt.Errorf("entry %d would be record %d", l.Index, n))
		}
	}
	if !s.unsynced && !s.leadsWith(logs) {
		if err := s.Sync(); err != nil {
			return s.fail(err)
		}
	}
	s.backlog.add(logs)
	s.keepInMemory(logs)
	return nil
}

// leadsWith reports whether these are proposals that this node stores as the leader. raft's main goroutine alone stores entries, and it
// alone makes a node lead.
func (s *logStore) leadsWith(logs []*raft.Log) bool {
	r := s.raft.Load()
	return r != nil && r.State() == raft.Leader && !slices.ContainsFunc(logs, func(l *raft.Log) bool { return l.Type != raft.LogCommand })
}

// waitSynced returns once the disk has an entry. Each node waits before it applies one: raft counts the leader's own as safe.
func (s *logStore) waitSynced(index uint64) error {
	if s.unsynced {
		return nil
	}
	if err := s.WaitPromised(index); err != nil {
		return s.fail(err)
	}
	return nil
}

// announced is up to which entry the other nodes may apply: what is committed, and on the leader's disk.
func (s *logStore) announced(committed uint64) uint64 {
	if s.unsynced {
		return committed
	}
	return min(committed, s.Progress().Promised)
}

// fail reports an error that ends the node: a failed sync is final.
func (s *logStore) fail(err error) error {
	s.failed(err)
	return err
}

func (s *logStore) keepInMemory(logs []*raft.Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.recent); n > 0 && s.recent[n-1].Index+1 != logs[0].Index {
		s.recent, s.size = nil, 0
	}
	for _, l := range logs {
		s.recent = append(s.recent, l)
		s.size += len(l.Data) + entryCost
		s.stored += int64(len(l.Data)) + entryCost
	}
	n := 0
	for ; s.size > recentBytes && n < len(s.recent)-1; n++ {
		s.size -= len(s.recent[n].Data) + entryCost
		s.recent[n] = nil // the array may be kept
	}
	s.recent = s.recent[n:]
}

func (s *logStore) inMemory(index uint64) *raft.Log {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, all := range [][]*raft.Log{s.recent, s.ahead} {
		if len(all) > 0 && index >= all[0].Index && index <= all[len(all)-1].Index {
			return all[index-all[0].Index]
		}
	}
	return nil
}

// bytes returns how many bytes were stored since the start.
func (s *logStore) bytes() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.stored
}

// DeleteRange removes a tail that another leader has replaced, which may be all that is behind a snapshot, or a head that a snapshot has. Of the
// latter raft leaves some entries.
func (s *logStore) DeleteRange(from, to uint64) error {
	s.drop(from, to)
	switch {
	case to >= s.Last():
		s.backlog.cut(from)
		return s.CutTail(max(from, s.Head()))
	case from <= s.Head():
		return s.DropHead(to + 1)
	}
	return errors.New("a log is not cut in the middle")
}

// drop takes a head or a tail from the entries in memory.
func (s *logStore) drop(from, to uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rest []*raft.Log
	size := 0
	for _, l := range s.recent {
		if l.Index < from || l.Index > to {
			rest, size = append(rest, l), size+len(l.Data)+entryCost
		}
	}
	s.recent, s.size, s.ahead = rest, size, nil
}

var errEnough = errors.New("enough is read")

package log_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/log"
)

// store is a raft.LogStore over a log. raft has its own goroutines, of which one at a time stores.
type store struct {
	*log.Log
	cuts int // of the tail
}

func (s *store) FirstIndex() (uint64, error) {
	if s.Head() > s.Last() {
		return 0, nil
	}
	return s.Head(), nil
}

func (s *store) LastIndex() (uint64, error) {
	if s.Head() > s.Last() {
		return 0, nil
	}
	return s.Last(), nil
}

func (s *store) GetLog(index uint64, out *raft.Log) error {
	found := false
	err := s.Scan(index, index, func(r log.Record) error {
		found = true
		payload := bytes.Clone(r.Payload)
		n := binary.LittleEndian.Uint32(payload)
		*out = raft.Log{Index: r.Number, Term: r.Term, Type: raft.LogType(r.Kind), Extensions: payload[4 : 4+n], Data: payload[4+n:]}
		return nil
	})
	if err == nil && !found {
		err = raft.ErrLogNotFound
	}
	return err
}

func (s *store) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

func (s *store) StoreLogs(logs []*raft.Log) error {
	if first := logs[0].Index; first > s.Last()+1 { // behind a snapshot that another node has sent
		if err := s.Reset(first); err != nil {
			return err
		}
	}
	for _, l := range logs {
		payload := binary.LittleEndian.AppendUint32(nil, uint32(len(l.Extensions))) //nolint:gosec // short
		payload = append(append(payload, l.Extensions...), l.Data...)
		if n := s.AppendTerm(l.Term, byte(l.Type), payload); n != l.Index {
			return fmt.Errorf("stored %d as %d", l.Index, n)
		}
	}
	return s.Sync()
}

func (s *store) DeleteRange(from, to uint64) error {
	switch last := s.Last(); {
	case from <= s.Head() && to >= last:
		return s.Reset(max(to, last) + 1)
	case from <= s.Head():
		return s.DropHead(to + 1)
	case to >= last:
		s.cuts++
		return s.CutTail(from)
	}
	return errors.New("a range in the middle")
}

// state is what the entries lead to: how many they were, and a sum of all.
type state struct {
	mu  sync.Mutex
	n   uint64
	sum uint32
}

func (s *state) get() [2]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return [2]uint64{s.n, uint64(s.sum)}
}

func (s *state) Apply(l *raft.Log) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	s.sum = crc32.Update(s.sum, crc32.IEEETable, l.Data)
	return nil
}

func (s *state) Snapshot() (raft.FSMSnapshot, error) {
	v := s.get()
	return &state{n: v[0], sum: uint32(v[1])}, nil //nolint:gosec // it was one
}

func (s *state) Restore(r io.ReadCloser) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(binary.Read(r, binary.LittleEndian, &s.n), binary.Read(r, binary.LittleEndian, &s.sum), r.Close())
}

func (s *state) Persist(sink raft.SnapshotSink) error {
	v := s.get()
	return errors.Join(binary.Write(sink, binary.LittleEndian, v[0]), binary.Write(sink, binary.LittleEndian, uint32(v[1])), sink.Close()) //nolint:gosec // it was one
}

func (s *state) Release() {}

// node is one of three.
type node struct {
	*raft.Raft
	id        raft.ServerAddress
	dir       string
	store     *store
	state     *state
	transport *raft.InmemTransport
	votes     *raft.InmemStore // term and vote: conch will have a file for them
	snapshots raft.SnapshotStore
}

func (n *node) start(t *testing.T) {
	t.Helper()
	files, err := log.OpenDirectory(filepath.Join(n.dir, "log"))
	require.NoError(t, err)
	n.snapshots, err = raft.NewFileSnapshotStore(n.dir, 2, io.Discard)
	require.NoError(t, err)
	after := uint64(0)
	found, err := n.snapshots.List()
	require.NoError(t, err)
	if len(found) > 0 {
		after = found[0].Index
	}
	l, recovery, err := log.Open(log.Options{Files: files, Fsync: log.Always, SegmentSize: 16 << 10}, after, func(log.Record) error { return nil })
	require.NoError(t, err)
	assert.Empty(t, recovery.Damages)
	n.store, n.state = &store{Log: l}, new(state)
	_, n.transport = raft.NewInmemTransportWithTimeout(n.id, time.Second)
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.id)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout, c.CommitTimeout = time.Second, time.Second, time.Second, time.Millisecond
	c.SnapshotThreshold, c.SnapshotInterval, c.TrailingLogs = 1<<30, time.Hour, 50
	c.LogOutput = io.Discard
	n.Raft, err = raft.NewRaft(c, n.state, n.store, n.votes, n.snapshots, n.transport)
	require.NoError(t, err)
}

func (n *node) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, n.Shutdown().Error())
	require.NoError(t, n.store.Close())
}

// cluster is three nodes in one process.
type cluster []*node

func newCluster(t *testing.T) cluster {
	t.Helper()
	var c cluster
	var servers raft.Configuration
	for _, id := range []string{"one", "two", "three"} {
		n := &node{id: raft.ServerAddress(id), dir: t.TempDir(), votes: raft.NewInmemStore()}
		n.start(t)
		c = append(c, n)
		servers.Servers = append(servers.Servers, raft.Server{ID: raft.ServerID(id), Address: n.id})
	}
	c.connect()
	require.NoError(t, c[0].BootstrapCluster(servers).Error())
	return c
}

func (c cluster) connect() {
	for _, a := range c {
		for _, b := range c {
			if a != b {
				a.transport.Connect(b.id, b.transport)
			}
		}
	}
}

// leader waits for a leader that is not that node.
func (c cluster) leader(t *testing.T, not *node) (leader *node) {
	t.Helper()
	harness.Eventually(t, func() bool {
		for _, n := range c {
			if n != not && n.State() == raft.Leader {
				leader = n
				return true
			}
		}
		return false
	}, "a leader")
	return leader
}

// apply commits entries. A leader that is replaced meanwhile refuses; then the next one gets the rest.
func (c cluster) apply(t *testing.T, not *node, from, to int) {
	t.Helper()
	for i := from; i < to; {
		l := c.leader(t, not)
		var futures []raft.ApplyFuture
		for n := i; n < min(to, i+100); n++ {
			futures = append(futures, l.Apply(fmt.Appendf(nil, "entry %d", n), 0))
		}
		for _, f := range futures {
			if f.Error() == nil {
				i++
			}
		}
	}
}

// requireEqual waits until all nodes are in the same state, of at least so many entries, and compares their records.
func (c cluster) requireEqual(t *testing.T, entries uint64) {
	t.Helper()
	harness.Eventually(t, func() bool {
		v := c[0].state.get()
		return v[0] >= entries && v == c[1].state.get() && v == c[2].state.get() && c[0].store.Last() == c[1].store.Last() && c[1].store.Last() == c[2].store.Last()
	}, "equal nodes")
	first := uint64(1)
	for _, n := range c {
		first = max(first, n.store.Head())
	}
	var records [3][]log.Record
	for i, n := range c {
		require.NoError(t, n.store.Scan(first, n.store.Last(), func(r log.Record) error {
			r.Payload = bytes.Clone(r.Payload)
			records[i] = append(records[i], r)
			return nil
		}))
	}
	require.NotEmpty(t, records[0])
	require.Equal(t, records[0], records[1])
	require.Equal(t, records[0], records[2])
}

// The log is a log store for raft: it replaces a tail that was not committed, gives up its head behind a snapshot, begins again behind one that
// another node sends, and all of it is there after a restart.
func TestRaftOverTheLog(t *testing.T) {
	c := newCluster(t)
	c.apply(t, nil, 0, 500)
	c.requireEqual(t, 500)

	old := c.leader(t, nil)
	for _, n := range c {
		if n != old {
			n.transport.Disconnect(old.id)
			old.transport.Disconnect(n.id)
		}
	}
	last := old.store.Last()
	var lost []raft.ApplyFuture
	for i := range 40 {
		lost = append(lost, old.Apply(fmt.Appendf(nil, "lost %d", i), 0))
	}
	harness.Eventually(t, func() bool { return old.store.Last() > last || old.State() != raft.Leader }, "entries that are not committed")
	c.apply(t, old, 500, 800)
	c.connect()
	for _, f := range lost {
		assert.Error(t, f.Error())
	}
	c.requireEqual(t, 800)
	assert.Positive(t, old.store.cuts, "the old leader had a tail to replace")

	c.restart(t)
	c.requireEqual(t, 800)
	for _, n := range c {
		require.NoError(t, n.Raft.Snapshot().Error())
		assert.Greater(t, n.store.Head(), uint64(100))
	}
	c.apply(t, nil, 800, 1000)
	c.restart(t)
	for _, n := range c {
		assert.Greater(t, n.store.Head(), uint64(100), "the head is stored")
	}
	c.requireEqual(t, 1000)

	leader := c.leader(t, nil)
	require.NoError(t, leader.Raft.Snapshot().Error())
	for _, n := range c {
		if n != leader { // it has lost everything
			n.stop(t)
			n.dir, n.votes = t.TempDir(), raft.NewInmemStore()
			n.start(t)
			break
		}
	}
	c.connect()
	c.apply(t, nil, 1000, 1100)
	c.requireEqual(t, 1100)
	c.restart(t)
	c.apply(t, nil, 1100, 1110)
	c.requireEqual(t, 1110)
	for _, n := range c {
		n.stop(t)
	}
}

func (c cluster) restart(t *testing.T) {
	t.Helper()
	for _, n := range c {
		n.stop(t)
	}
	for _, n := range c {
		n.start(t)
	}
	c.connect()
	require.NoError(t, c.leader(t, nil).Barrier(0).Error())
}

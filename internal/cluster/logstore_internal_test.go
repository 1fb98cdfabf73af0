package cluster

import (
	"testing"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/log"
)

// What a log has of a snapshot's entries that are another leader's goes; the entry that the snapshot ends with is there for comparison.
func TestALogFollowsASnapshot(t *testing.T) {
	l, _, err := log.Open(log.Options{Files: log.NewMemory(0), Fsync: log.Always}, 0, func(log.Record) error { return nil })
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	s := &logStore{Log: l, failed: func(err error) { assert.NoError(t, err) }}
	store := func(from, to, term uint64) {
		for i := from; i <= to; i++ {
			require.NoError(t, s.StoreLog(&raft.Log{Index: i, Term: term, Data: []byte("x")}))
		}
	}
	term := func(index uint64) uint64 {
		var entry raft.Log
		if err := s.GetLog(index, &entry); err != nil {
			require.ErrorIs(t, err, raft.ErrLogNotFound)
			return 0
		}
		return entry.Term
	}
	terms := func(indices ...uint64) (all []uint64) {
		for _, i := range indices {
			all = append(all, term(i))
		}
		return all
	}
	store(1, 10, 1)

	require.NoError(t, s.follow(8, 1)) // its own
	assert.Equal(t, []uint64{1, 1, 1, 1}, terms(1, 7, 8, 10))
	require.NoError(t, s.DeleteRange(1, 8))
	assert.Equal(t, []uint64{0, 1, 1, 1}, terms(7, 8, 9, 10), "the entry of the snapshot is there for comparison")

	require.NoError(t, s.follow(9, 2)) // another leader's
	assert.Equal(t, []uint64{0, 2, 1}, terms(8, 9, 10))

	require.NoError(t, s.follow(10, 3)) // up to its last one
	assert.Equal(t, []uint64{0, 3, 0}, terms(9, 10, 11))
	store(11, 12, 3)
	assert.Equal(t, []uint64{3, 3, 3}, terms(10, 11, 12))

	require.NoError(t, s.DeleteRange(11, 12)) // all that is behind the snapshot
	assert.Equal(t, []uint64{3, 0}, terms(10, 11))
	store(11, 12, 4)
	assert.Equal(t, []uint64{3, 4, 4}, terms(10, 11, 12))

	require.NoError(t, s.follow(20, 4)) // far ahead
	store(21, 21, 4)
	assert.Equal(t, []uint64{0, 0, 4, 4}, terms(12, 19, 20, 21))
}

// A snapshot that was begun before the leader's came, and ends behind it, does not replace that: the log no longer has what it would need.
func TestAnOlderSnapshotReplacesNone(t *testing.T) {
	l, _, err := log.Open(log.Options{Files: log.NewMemory(0), Fsync: log.Always}, 0, func(log.Record) error { return nil })
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	small := files{log.NewMemory(0)}
	s, err := openSnapshots(small)
	require.NoError(t, err)
	s.log = &logStore{Log: l, failed: func(err error) { assert.NoError(t, err) }}
	s.reached = func(uint64) error { return nil }
	begin := func(index uint64) raft.SnapshotSink {
		k, err := s.Create(raft.SnapshotVersionMax, index, 1, raft.Configuration{}, 0, nil)
		require.NoError(t, err)
		_, err = k.Write([]byte("1"))
		require.NoError(t, err)
		return k
	}
	own, leaders := begin(5), begin(9)
	require.NoError(t, leaders.Close())
	require.NoError(t, own.Close())
	again, err := openSnapshots(small)
	require.NoError(t, err)
	for _, s := range []*snapshots{s, again} {
		assert.Equal(t, uint64(9), s.last.Index)
	}
}

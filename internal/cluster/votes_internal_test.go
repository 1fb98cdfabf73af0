package cluster

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/log"
)

// countedFiles counts how often files were replaced.
type countedFiles struct {
	log.Files
	renamed int
	fails   bool
}

var errFull = errors.New("the disk is full")

func (f *countedFiles) Rename(from, to string) error {
	f.renamed++
	if f.fails {
		return errFull
	}
	return f.Files.Rename(from, to)
}

// raft's own term is written at once. That of a vote is written with its candidate, and no vote is given before.
func TestAVoteIsOneWrite(t *testing.T) {
	disk := &countedFiles{Files: log.NewMemory(0)}
	v, err := openVotes(files{disk})
	require.NoError(t, err)
	require.NoError(t, v.SetUint64([]byte("CurrentTerm"), 7))
	assert.Equal(t, 1, disk.renamed)
	require.NoError(t, v.SetUint64([]byte("LastVoteTerm"), 7))
	require.NoError(t, v.Set([]byte("LastVoteCand"), []byte("a@host")))
	assert.Equal(t, 2, disk.renamed)

	again, err := openVotes(files{disk})
	require.NoError(t, err)
	for _, key := range []string{"CurrentTerm", "LastVoteTerm"} {
		n, err := again.GetUint64([]byte(key))
		require.NoError(t, err)
		assert.Equal(t, uint64(7), n, key)
	}
	candidate, err := again.Get([]byte("LastVoteCand"))
	require.NoError(t, err)
	assert.Equal(t, "a@host", string(candidate))
}

// raft gives a vote again that it finds: so one that was not written is not found.
func TestAVoteThatWasNotWrittenIsNone(t *testing.T) {
	disk := &countedFiles{Files: log.NewMemory(0)}
	v, err := openVotes(files{disk})
	require.NoError(t, err)
	vote := func(term uint64, candidate string) error {
		require.NoError(t, v.SetUint64([]byte("LastVoteTerm"), term))
		return v.Set([]byte("LastVoteCand"), []byte(candidate))
	}
	require.NoError(t, vote(7, "a@host"))
	disk.fails = true
	require.ErrorIs(t, vote(8, "b@host"), errFull)
	term, err := v.GetUint64([]byte("LastVoteTerm"))
	require.NoError(t, err)
	candidate, err := v.Get([]byte("LastVoteCand"))
	require.NoError(t, err)
	assert.Equal(t, "7 a@host", fmt.Sprint(term, " ", string(candidate)))
}

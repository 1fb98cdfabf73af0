package command

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/stream"
)

// keep applies entries with the bodies that it is given, in order.
func keep(t *testing.T, s *Service, bodies ...[]byte) {
	t.Helper()
	a := s.NewApplier()
	for _, body := range bodies {
		require.NoError(t, a.Apply(&OrderedEntry{Parts: []OrderedPart{{Body: body}}, Finish: func(uint64) []byte { return []byte("state") }}))
	}
}

// What nodes keep by names has a bound, with an error that has the way out. Texts that nodes always need have room behind it.
func TestTextsOfNodesAreLimited(t *testing.T) {
	s := newService(t, Options{Unprotected: true, Store: newTestStore(), Order: &testOrder{proposals: make(chan OrderedEntry, 10)}})
	pause := func(name string) error {
		body, err := s.PausedBody(Sink, name, true)
		keep(t, s, body) // another node may have taken it before this one was full
		return err
	}
	n := 0
	for ; pause(fmt.Sprint(n)) == nil; n++ {
		require.Less(t, n, 2*stream.MaxSourcePositions)
	}
	assert.ErrorIs(t, pause("more"), stream.ErrManyTexts)
	assert.False(t, s.IsPaused(Sink, "more"))
	assert.NoError(t, pause("1"), "it is paused already")
	keep(t, s, addressBody("new", "h:1"), s.HolderBody())
	assert.True(t, s.RunsConnectors())
	held := s.streams.state.SourcePositions()
	keep(t, s, s.DroppedBody(Sink, "1"), s.DroppedBody(Sink, "2"))
	assert.Nil(t, s.DroppedBody(Sink, "1"))
	assert.Nil(t, s.DroppedBody(Source, "3"))
	assert.Equal(t, held-2, s.streams.state.SourcePositions())
	require.Greater(t, n, stream.MaxSourcePositions)
}

// The address of a node that was removed is forgotten.
func TestAnAddressIsForgotten(t *testing.T) {
	s := newService(t, Options{Unprotected: true, Store: newTestStore(), Order: &testOrder{proposals: make(chan OrderedEntry, 10)}})
	keep(t, s, addressBody("d", "h:1"))
	before := s.streams.state.SourcePositions()
	keep(t, s, s.NoAddressBody("d"))
	assert.Equal(t, before-1, s.streams.state.SourcePositions())
}

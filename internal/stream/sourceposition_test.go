package stream

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// setSource sets how far a source has read, and reports whether that changes something.
func (k *core) setSource(source, partition, position string) bool {
	changes, err := k.s.PlanSetSourcePosition(k.change(), source, partition, position)
	require.NoError(k.t, err)
	if changes {
		k.apply()
	}
	return changes
}

func (k *core) removeSource(source, partition string) bool {
	there := k.s.PlanRemoveSourcePosition(k.change(), source, partition)
	if there {
		k.apply()
	}
	return there
}

func (k *core) positions(source string) (all []string) {
	k.s.EachSourcePosition(source, func(p *SourcePosition) bool {
		all = append(all, fmt.Sprint(p.Source(), " ", p.Partition(), " ", p.Position()))
		return true
	})
	return all
}

// A position is known by its source and its partition together. It is any text: only the source compares them.
func TestSourcePositions(t *testing.T) {
	k := newCore(t)
	for _, x := range [][2]string{{"b", "0"}, {"a", "1"}, {"a", "0"}, {"ab", ""}} {
		require.True(t, k.setSource(x[0], x[1], "17"))
	}
	assert.False(t, k.setSource("a", "1", "17"), "it is there already")
	assert.True(t, k.setSource("a", "1", "9-long"))
	assert.Equal(t, []string{"a 0 17", "a 1 9-long"}, k.positions("a"))
	assert.Equal(t, []string{"ab  17"}, k.positions("ab"))
	assert.Empty(t, k.positions("c"))
	k.s.PlanFlush(k.change())
	k.apply()
	assert.Equal(t, 4, k.s.SourcePositions(), "they outlive the streams")
	s, err := Load(save(t, k.s, true))
	require.NoError(t, err)
	assert.Equal(t, k.s.Memory(), s.Memory())
	for _, x := range [][2]string{{"b", "0"}, {"a", "1"}, {"a", "0"}, {"ab", ""}} {
		require.True(t, k.removeSource(x[0], x[1]))
	}
	assert.False(t, k.removeSource("a", "1"))
	assert.Zero(t, k.s.Memory())
	k.replay()
}

// A million partitions, and texts of any length, are refused: what is there goes on.
func TestSourcePositionsAreLimited(t *testing.T) {
	k := newCore(t)
	for i := range MaxSourcePositions {
		k.setSource("s", fmt.Sprint(i), "1")
	}
	_, err := k.s.PlanSetSourcePosition(k.change(), "s", "more", "1")
	assert.Equal(t, ErrManyPartitions, err)
	assert.True(t, k.setSource("s", "5", "2"))
	long := strings.Repeat("x", 1<<20)
	for _, x := range [][3]string{{long, "", ""}, {"s", long, ""}, {"s", "5", long}} {
		_, err := k.s.PlanSetSourcePosition(k.change(), x[0], x[1], x[2])
		assert.Equal(t, ErrLongPosition, err)
	}
	for i := range maxTexts { // there is room for texts besides
		c := k.change()
		assert.Equal(t, i < maxTexts-neededTexts, k.s.HasRoomForText("\x00t", fmt.Sprint(i)))
		changes, err := k.s.PlanSetText(c, "\x00t", fmt.Sprint(i), []byte("x"))
		require.NoError(t, err)
		require.True(t, changes)
		require.Empty(t, k.s.misfit(c))
		k.s.Apply(c)
	}
	_, err = k.s.PlanSetText(k.change(), "\x00t", "more", []byte("x"))
	assert.Equal(t, ErrManyTexts, err)
	changes, err := k.s.PlanSetText(k.change(), "\x00t", "5", []byte("y"))
	assert.True(t, changes)
	assert.NoError(t, err)
	assert.True(t, k.s.HasRoomForText("\x00t", "5"))
	for _, c := range []Change{
		{Kind: SetSourcePosition, Text: []byte("s"), Name: []byte("more")},
		{Kind: RemoveSourcePosition, Text: []byte("s"), Name: []byte("more")},
	} {
		assert.NotEmpty(t, k.s.misfit(&c))
	}
	k.payload = nil
}

// What no plan makes is refused.
func TestMisfitSourcePositions(t *testing.T) {
	long := []byte(strings.Repeat("x", MaxSourceText+1))
	for _, c := range []Change{
		{Kind: RemoveSourcePosition, Text: []byte("s")},
		{Kind: SetSourcePosition, Text: long},
		{Kind: SetSourcePosition, Name: long},
		{Kind: SetSourcePosition, Mark: long},
	} {
		payload := AppendChange(BeginRecord(nil, 5, 0), &c)
		require.ErrorIs(t, New().ApplyRecord(payload), ErrCorrupt)
	}
}

// A delta has the positions of its instant.
func TestDeltaOfSourcePositions(t *testing.T) {
	k := newCore(t)
	k.setSource("a", "0", "1")
	k.setSource("b", "0", "1")
	base := save(t, k.s, true)
	k.removeSource("a", "0")
	k.setSource("b", "0", "2")
	c := k.s.Freeze(false)
	want := k.s.Digest()
	k.setSource("b", "0", "3") // behind the instant
	part, done := c.Collect(100, nil)
	require.True(t, done)
	var delta bytes.Buffer
	_, err := part.WriteTo(&delta)
	require.NoError(t, err)
	s, err := Load(base, &delta)
	require.NoError(t, err)
	assert.Equal(t, want, s.Digest())
}

// changeSource moves or removes a position of one of a few sources.
func (m *streamsModel) changeSource() {
	key := [2]string{fmt.Sprint("source", m.r.IntN(3)), fmt.Sprint(m.r.IntN(3))}
	position, there := m.sources[key]
	if m.r.IntN(8) == 0 {
		require.Equal(m.t, there, m.removeSource(key[0], key[1]))
		delete(m.sources, key)
		return
	}
	next := fmt.Sprint(m.r.IntN(1000))
	require.Equal(m.t, !there || position != next, m.setSource(key[0], key[1], next))
	m.sources[key] = next
}

func (m *streamsModel) checkSources() {
	require.Equal(m.t, len(m.sources), m.s.SourcePositions())
	for key, position := range m.sources {
		require.Equal(m.t, position, m.s.SourcePosition(key[0], key[1]).Position(), key)
	}
}

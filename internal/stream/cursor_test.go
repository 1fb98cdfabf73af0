package stream

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// setCursor sets the position of a cursor, and reports whether that changes something.
func (k *core) setCursor(group, topic string, position uint64) bool {
	changes, err := k.s.PlanSetCursor(k.change(), group, topic, position)
	require.NoError(k.t, err)
	if changes {
		k.apply()
	}
	return changes
}

// holdCursor sets the position and the holder of a cursor, and reports whether that changes something.
func (k *core) holdCursor(group, topic string, position uint64, holder string) bool {
	changes, err := k.s.PlanHoldCursor(k.change(), group, topic, position, holder)
	require.NoError(k.t, err)
	if changes {
		k.apply()
	}
	return changes
}

func (k *core) removeCursor(group, topic string) bool {
	there := k.s.PlanRemoveCursor(k.change(), group, topic)
	if there {
		k.apply()
	}
	return there
}

// list shows all cursors from a group on.
func (k *core) list(group string) (all []string) {
	k.s.EachCursor(group, func(c *Cursor) bool {
		all = append(all, fmt.Sprint(c.Group(), " ", c.Topic(), " ", c.Position()))
		return true
	})
	return all
}

// A cursor is known by its group and its topic together, and listed in their order.
func TestCursors(t *testing.T) {
	k := newCore(t)
	for _, x := range [][2]string{{"b", "x"}, {"a", "y"}, {"a", "x"}, {"", ""}} {
		require.True(t, k.setCursor(x[0], x[1], 7))
	}
	assert.False(t, k.setCursor("a", "y", 7), "it has that position")
	assert.True(t, k.setCursor("a", "y", 3), "back is a position too")
	assert.Equal(t, []string{"  7", "a x 7", "a y 3", "b x 7"}, k.list(""))
	assert.Equal(t, []string{"b x 7"}, k.list("aa"))
	assert.True(t, k.removeCursor("a", "x"))
	assert.False(t, k.removeCursor("a", "x"))
	assert.Nil(t, k.s.Cursor("a", "x"))
	assert.Equal(t, 3, k.s.Cursors())
	k.replay()
}

// They outlive all streams, and go back to no memory when they are removed.
func TestCursorsOutliveStreams(t *testing.T) {
	k := newCore(t)
	k.add("a", "1")
	k.setCursor("g", "a", k.sequence)
	k.s.PlanFlush(k.change())
	k.apply()
	assert.Equal(t, []string{"g a 101"}, k.list(""))
	assert.Equal(t, int64(cursorBytes+2), k.s.Memory())
	s, err := Load(save(t, k.s, true))
	require.NoError(t, err)
	assert.Equal(t, k.s.Memory(), s.Memory())
	k.holdCursor("g", "a", 1, "a node")
	assert.Equal(t, int64(cursorBytes+8), k.s.Memory())
	k.removeCursor("g", "a")
	assert.Zero(t, k.s.Memory())
}

// One above the limit is refused, and those that are there go on.
func TestCursorsAreLimited(t *testing.T) {
	k := newCore(t)
	for i := range MaxCursors {
		k.setCursor(fmt.Sprint(i), "t", 1)
	}
	_, err := k.s.PlanSetCursor(k.change(), "more", "t", 1)
	assert.Equal(t, ErrManyCursors, err)
	assert.True(t, k.setCursor("5", "t", 2))
	c := k.change()
	c.Kind, c.Text, c.Name = SetCursor, []byte("more"), []byte("t")
	assert.NotEmpty(t, k.s.misfit(c))
	k.payload = nil
}

// A delta has the cursors of its instant, those that were removed before it are gone.
func TestDeltaOfCursors(t *testing.T) {
	k := newCore(t)
	k.setCursor("a", "t", 1)
	k.setCursor("b", "t", 1)
	base := save(t, k.s, true)
	k.removeCursor("a", "t")
	k.setCursor("b", "t", 2)
	c := k.s.Freeze(false)
	want := k.s.Digest()
	k.setCursor("b", "t", 3) // behind the instant
	part, done := c.Collect(100, nil)
	require.True(t, done)
	var delta bytes.Buffer
	_, err := part.WriteTo(&delta)
	require.NoError(t, err)
	s, err := Load(base, &delta)
	require.NoError(t, err)
	assert.Equal(t, want, s.Digest())
}

// What no plan makes is refused.
func TestMisfitCursors(t *testing.T) {
	long := strings.Repeat("x", MaxCursorName+1)
	for _, c := range []Change{
		{Kind: RemoveCursor, Text: []byte("g"), Name: []byte("t")},
		{Kind: SetCursor, Text: []byte("g"), Name: []byte("t"), Position: 6},
		{Kind: SetCursor, Text: []byte(long), Name: []byte("t")},
		{Kind: HoldCursor, Text: []byte("g"), Name: []byte("t"), Position: 6, Holder: []byte("a")},
		{Kind: HoldCursor, Text: []byte("g"), Name: []byte("t"), Holder: bytes.Repeat([]byte("x"), MaxCursorHolder+1)},
	} {
		c.Sequence = 5
		payload := AppendChange(BeginRecord(nil, 5, 0), &c)
		assert.ErrorIs(t, New().ApplyRecord(payload), ErrCorrupt)
	}
}

type modelCursor struct {
	position uint64
	holder   string
}

// changeCursor sets or removes one of a few.
func (m *streamsModel) changeCursor() {
	key := [2]string{fmt.Sprint("group", m.r.IntN(3)), fmt.Sprint("topic", m.r.IntN(3))}
	old, there := m.cursors[key]
	if m.r.IntN(4) == 0 {
		require.Equal(m.t, there, m.removeCursor(key[0], key[1]))
		delete(m.cursors, key)
		return
	}
	next := modelCursor{m.r.Uint64N(m.sequence + 1), []string{"", "a", "node of a longer name"}[m.r.IntN(3)]}
	require.Equal(m.t, !there || old != next, m.holdCursor(key[0], key[1], next.position, next.holder))
	m.cursors[key] = next
}

func (m *streamsModel) checkCursors() {
	require.Equal(m.t, len(m.cursors), m.s.Cursors())
	for key, want := range m.cursors {
		c := m.s.Cursor(key[0], key[1])
		require.Equal(m.t, want, modelCursor{c.Position(), c.Holder()}, key)
	}
}

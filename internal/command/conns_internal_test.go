package command

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestConnList(t *testing.T) {
	var l connList
	ids := func() (ids []int64) {
		for c := range l.all() {
			ids = append(ids, c.id)
		}
		return ids
	}
	conns := make(map[int64]*Conn)
	for _, id := range []int64{1, 2, 4, 3, 7, 5, 6, 8} { // several listeners accept at once
		conns[id] = &Conn{id: id}
		l.add(conns[id])
	}
	assert.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8}, ids())
	for id, c := range conns {
		assert.Same(t, c, l.find(id))
	}
	assert.Nil(t, l.find(9))
	for i, id := range []int64{3, 8, 1, 6, 5, 7, 2, 4} {
		l.remove(conns[id])
		l.remove(conns[id]) // a second time it is gone
		assert.Nil(t, l.find(id))
		assert.Equal(t, 7-i, l.len())
		assert.Len(t, ids(), 7-i)
		assert.True(t, slices.IsSorted(ids()))
		assert.LessOrEqual(t, l.gaps, len(l.slots)/2, "gaps are closed")
	}
	assert.Empty(t, l.slots)
}

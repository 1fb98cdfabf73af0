package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counts returns the counts of proposals.
func counts(ps []*proposal) (all []uint64) {
	for _, p := range ps {
		all = append(all, p.count)
	}
	return all
}

// While as many entries are under way as may be, what is proposed waits for the next one.
func TestProposalsAreGathered(t *testing.T) {
	n := &Node{options: Options{Name: "a", Window: 1 << 30}}
	p := &n.proposals
	p.wake, p.most, p.incarnation = make(chan struct{}, 1), 2, 7
	propose := func(sizes ...int) {
		for _, size := range sizes {
			require.NoError(t, n.Propose(make([]byte, size), 0, nil))
		}
	}
	apply := func(first uint64, count int) {
		p.take(&proposed{incarnation: 7, first: first, bodies: make([][]byte, count)}, make([]Part, count))
	}
	propose(1)
	assert.Equal(t, []uint64{1}, counts(p.next()))
	propose(1)
	assert.Equal(t, []uint64{2}, counts(p.next()))
	propose(1, 1)
	<-p.wake
	assert.Empty(t, p.next(), "two entries are under way")
	propose(maxGathered-2, 1)
	assert.Empty(t, p.wake)
	apply(1, 1)
	assert.Len(t, p.wake, 1)
	assert.Equal(t, []uint64{3, 4, 5}, counts(p.next()), "no more bytes fit")
	require.NoError(t, n.ProposeAlone(nil, 0, nil))
	propose(maxGathered+1, 1)
	apply(2, 1)
	assert.Equal(t, []uint64{6}, counts(p.next()))
	assert.Empty(t, p.next())
	apply(3, 3)
	assert.Equal(t, []uint64{7}, counts(p.next()), "it is alone")
	apply(6, 1)
	assert.Equal(t, []uint64{8}, counts(p.next()), "it is large")

	p.rewind()
	assert.Equal(t, []uint64{7}, counts(p.next()))
	assert.Equal(t, []uint64{8}, counts(p.next()))
	assert.Empty(t, p.next())
	p.rewind()
	apply(7, 1)
	assert.Equal(t, 0, p.underWay, "it was not sent again")
	assert.Equal(t, []uint64{8}, counts(p.next()))
	p.again(&proposed{incarnation: 7, first: 8, bodies: make([][]byte, 1)})
	assert.Equal(t, []uint64{8}, counts(p.next()))
	assert.Equal(t, []uint64{9}, counts(p.next()))
}

// Proposals that are sent again may be gathered in another way: those that were applied are left out.
func TestAnEntryOfProposalsIsAppliedOnce(t *testing.T) {
	for _, c := range []struct {
		incarnation, first uint64
		count, before      int
		ok, gap            bool
		last               uint64
	}{
		{incarnation: 7, first: 11, count: 1, ok: true, last: 11},
		{incarnation: 7, first: 11, count: 3, ok: true, last: 13},
		{incarnation: 7, first: 9, count: 4, before: 2, ok: true, last: 12},
		{incarnation: 7, first: 9, count: 2, last: 10},
		{incarnation: 7, first: 12, count: 1, gap: true, last: 10},
		{incarnation: 8, first: 1, count: 2, ok: true, last: 2},
		{incarnation: 8, first: 2, count: 2, gap: true, last: 10},
		{incarnation: 6, first: 11, count: 2, last: 10},
	} {
		s := State{origins: map[string]origin{"a": {7, 10}}}
		before, ok, gap := s.accepts(&proposed{origin: "a", incarnation: c.incarnation, first: c.first, bodies: make([][]byte, c.count)}, without{})
		assert.Equal(t, []any{c.before, c.ok, c.gap, c.last}, []any{before, ok, gap, s.origins["a"].last}, "%+v", c)
	}
}

func TestAnEntryOfProposalsIsReadBack(t *testing.T) {
	e := proposed{origin: "node-a", incarnation: 1 << 60, first: 300, time: -5, bodies: [][]byte{[]byte("one"), {}, make([]byte, 1000)}}
	data := e.encode()
	back, err := decodeProposed(data)
	require.NoError(t, err)
	assert.Equal(t, e, back)
	assert.EqualValues(t, 302, back.last())
	whole := 0
	for n := range data {
		if _, err := decodeProposed(data[:n]); err == nil {
			whole++
		}
	}
	assert.Equal(t, 2, whole, "a cut behind the first and the second body alone leaves a whole entry")
}

package stream

import (
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An order is a sorted list, whatever is done to it, and a snapshot of it stays what it was.
func TestOrderModel(t *testing.T) {
	r := random(t)
	for range 20 {
		o, model := newOrder(cmp.Compare[int]), []int{}
		var snapshot []itemBlock[int]
		then := []int{}
		grow := 1 + r.IntN(9)
		for step := range 4000 {
			x := r.IntN(3000)
			if r.IntN(3) == 0 {
				x = 3000 + step // at the end, as ids and times come
			}
			at, found := slices.BinarySearch(model, x)
			spot, has := o.find(x)
			require.Equal(t, found, has)
			before := 0
			for _, b := range o.blocks[:spot.block] {
				before += len(b.items)
			}
			require.Equal(t, at, before+spot.item)
			if r.IntN(10) < grow {
				o.insert(x)
				if !found {
					model = slices.Insert(model, at, x)
				}
			} else {
				got, ok := o.remove(x)
				require.Equal(t, found, ok)
				if found {
					require.Equal(t, x, got)
					model = slices.Delete(model, at, at+1)
				}
			}
			switch r.IntN(300) {
			case 0:
				snapshot, then = o.capture(), append([]int{}, model...)
			case 1:
				require.Equal(t, then, items(snapshot))
			case 2:
				grow = 1 + r.IntN(9)
			}
		}
		require.Equal(t, model, items(o.blocks))
		require.Equal(t, len(model), o.count)
		require.Equal(t, then, items(snapshot))
	}
}

func items(blocks []itemBlock[int]) []int {
	all := []int{}
	for _, b := range blocks {
		all = append(all, b.items...)
	}
	return all
}

// What is appended fills its blocks, and blocks that others leave are joined.
func TestBlocksOfAnOrderAreFull(t *testing.T) {
	o := newOrder(cmp.Compare[int])
	const n = 100_000
	for i := range n {
		o.insert(i)
	}
	assert.Len(t, o.blocks, n/orderBlock+1)
	for i := range n {
		if i%100 > 0 {
			o.remove(i)
		}
	}
	assert.Equal(t, n/100, o.count)
	room := 0
	for _, b := range o.blocks {
		room += cap(b.items)
	}
	assert.Less(t, room, 5*o.count)
	for i := range n / 100 {
		o.remove(i * 100)
	}
	assert.Empty(t, o.blocks)
}

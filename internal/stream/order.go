package stream

import "slices"

// orderBlock is how many items a block of an order has at most.
const orderBlock = 256

// order is a list that its comparison keeps sorted, without equal items. It is in blocks, so that an insert among a million is
// short. What a snapshot may hold is copied before it changes.
type order[T any] struct {
	compare func(a, b T) int
	blocks  []itemBlock[T] // none is empty
	count   int
	gen     uint32 // counts the snapshots
	// spare is the room of a block that has become empty: what is taken from the front and appended at the end needs a block each time.
	spare []T
}

// maxSpare bounds that room, in items: there may be very many orders.
const maxSpare = 32

// itemBlock is some items that follow each other. The core may change them in the generation of the order alone.
type itemBlock[T any] struct {
	items []T
	gen   uint32
}

// spot is the place of an item: behind the last one, block is that of no block.
type spot struct{ block, item int }

func newOrder[T any](compare func(a, b T) int) order[T] { return order[T]{compare: compare} }

// seek returns the first item for which below is false. It is true for items from the first to some item.
func (o *order[T]) seek(below func(T) bool) spot {
	low, high := 0, len(o.blocks)
	for low < high { // the first block whose last item is not below
		middle := (low + high) / 2
		if items := o.blocks[middle].items; below(items[len(items)-1]) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == len(o.blocks) {
		return spot{block: low}
	}
	items := o.blocks[low].items
	first, end := 0, len(items)
	for first < end {
		if middle := (first + end) / 2; below(items[middle]) {
			first = middle + 1
		} else {
			end = middle
		}
	}
	return spot{low, first}
}

// find returns the place of an item, or of the first one behind it.
func (o *order[T]) find(x T) (at spot, found bool) {
	if o.count > 0 { // most that is looked up is the first one: what came first ends first
		if c := o.compare(o.blocks[0].items[0], x); c >= 0 {
			return spot{}, c == 0
		}
	}
	at = o.seek(func(other T) bool { return o.compare(other, x) < 0 })
	return at, at.block < len(o.blocks) && o.compare(o.blocks[at.block].items[at.item], x) == 0
}

// at returns the item at a place; ok is false behind the last one.
func (o *order[T]) at(s spot) (x T, ok bool) {
	if s.block == len(o.blocks) {
		return x, false
	}
	return o.blocks[s.block].items[s.item], true
}

func (o *order[T]) last() T {
	items := o.blocks[len(o.blocks)-1].items
	return items[len(items)-1]
}

// insert adds an item, in the place of an equal one, which it returns.
func (o *order[T]) insert(x T) (replaced T) {
	if n := len(o.blocks); n == 0 || o.compare(o.last(), x) < 0 {
		o.push(x)
		return replaced
	}
	at, found := o.find(x)
	if found {
		o.own(at.block)
		item := &o.blocks[at.block].items[at.item]
		replaced, *item = *item, x
		return replaced
	}
	if items := o.blocks[at.block].items; len(items) == orderBlock {
		half := itemBlock[T]{slices.Clone(items[orderBlock/2:]), o.gen}
		o.own(at.block)
		clear(o.blocks[at.block].items[orderBlock/2:])
		o.blocks[at.block].items = o.blocks[at.block].items[:orderBlock/2]
		o.blocks = slices.Insert(o.blocks, at.block+1, half)
		if at.item > orderBlock/2 {
			at = spot{at.block + 1, at.item - orderBlock/2}
		}
	}
	o.own(at.block)
	o.blocks[at.block].items = slices.Insert(o.blocks[at.block].items, at.item, x)
	o.count++
	return replaced
}

// push appends an item. Blocks that are appended to are full.
func (o *order[T]) push(x T) {
	n := len(o.blocks) - 1
	if n < 0 || len(o.blocks[n].items) == orderBlock {
		o.blocks = append(o.blocks, itemBlock[T]{o.spare, o.gen})
		o.spare = nil
		n++
	}
	o.own(n)
	o.blocks[n].items = append(o.blocks[n].items, x)
	o.count++
}

// remove removes the item that is equal to x, and returns it.
func (o *order[T]) remove(x T) (removed T, ok bool) {
	at, found := o.find(x)
	if !found {
		return removed, false
	}
	o.own(at.block)
	b := &o.blocks[at.block]
	removed = b.items[at.item]
	b.items = slices.Delete(b.items, at.item, at.item+1)
	o.count--
	switch {
	case len(b.items) == 0:
		if cap(b.items) <= maxSpare {
			o.spare = b.items
		}
		o.blocks = slices.Delete(o.blocks, at.block, at.block+1)
	case at.block > 0 && len(b.items)+len(o.blocks[at.block-1].items) <= orderBlock/2:
		o.own(at.block - 1)
		o.blocks[at.block-1].items = append(o.blocks[at.block-1].items, b.items...)
		o.blocks = slices.Delete(o.blocks, at.block, at.block+1)
	case cap(b.items) > 32 && len(b.items) <= cap(b.items)/4:
		b.items = slices.Clone(b.items)
	}
	return removed, true
}

// from calls f for the items from a place on, until it returns false. f must not change the order.
func (o *order[T]) from(at spot, f func(T) bool) {
	for ; at.block < len(o.blocks); at = (spot{block: at.block + 1}) {
		for _, x := range o.blocks[at.block].items[at.item:] {
			if !f(x) {
				return
			}
		}
	}
}

// each calls f for all items, until it returns false.
func (o *order[T]) each(f func(T) bool) { o.from(spot{}, f) }

// first returns the first item, if there is one.
func (o *order[T]) first() (x T, ok bool) {
	if o.count == 0 {
		return x, false
	}
	return o.blocks[0].items[0], true
}

// own makes a block one that no snapshot holds.
func (o *order[T]) own(block int) {
	if b := &o.blocks[block]; b.gen != o.gen {
		*b = itemBlock[T]{slices.Clone(b.items), o.gen}
	}
}

// capture returns all items. They do not change with the order, and other goroutines may read them.
func (o *order[T]) capture() []itemBlock[T] {
	o.gen++
	return slices.Clone(o.blocks)
}

package broker

// orderedSet keeps items in the order of insertion, and each item knows its index. So adding, removing and walking are all
// cheap: a removal leaves a tombstone, and compact drops tombstones once they outnumber the items. That costs a constant
// on average, whatever the length, and the order of the rest never changes.
//
// A plain slice would cost a shift and a renumbering for each removal: a thousand subscribers of one topic that leave
// together would do half a million steps.
type orderedSet[T comparable] struct {
	items  []T // the zero T is a tombstone
	size   int
	onMove func(item T, index int) // stores an item's new index in the item
}

// minCompact is the length below which tombstones stay: a short array is not worth a copy.
const minCompact = 16

// add appends an item. The item must not be in the set.
func (s *orderedSet[T]) add(item T) {
	s.onMove(item, len(s.items))
	s.items = append(s.items, item)
	s.size++
}

// remove leaves a tombstone at index. The item must be there.
func (s *orderedSet[T]) remove(index int) {
	var tombstone T
	s.items[index] = tombstone
	s.size--
	if len(s.items) >= minCompact && s.size < len(s.items)/2 {
		s.compact()
	}
}

// compact copies to a new array of the right size: a set that was once long gives its memory back, and a walk over the old
// array goes on undisturbed.
func (s *orderedSet[T]) compact() {
	var tombstone T
	kept := make([]T, 0, s.size+s.size/2) // room to grow, so that the next add does not copy again
	for _, item := range s.items {
		if item != tombstone {
			s.onMove(item, len(kept))
			kept = append(kept, item)
		}
	}
	s.items = kept
}

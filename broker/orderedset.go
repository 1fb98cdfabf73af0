package broker

// orderedSet is an insertion-ordered set whose items know their own place, so that adding, removing and walking on are all
// cheap: removing leaves a tombstone, and compact drops tombstones once they outnumber the items. A removal therefore costs
// a constant on average, whatever the length, and the order of the rest never changes.
//
// A plain slice would cost a shift and a renumbering for each removal: a thousand subscribers of one topic that leave
// together would do half a million steps.
type orderedSet[T comparable] struct {
	items  []T // the zero T is a tombstone
	size   int
	onMove func(item T, place int) // tells an item where it now is
}

// minCompact is the length under which tombstones stay; small lists are dropped whole soon enough.
const minCompact = 16

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

// compact copies to an array of the right size rather than sliding down, so that a list which was once long gives
// its memory back.
func (s *orderedSet[T]) compact() {
	var tombstone T
	kept := make([]T, 0, s.size+s.size/2)
	for _, item := range s.items {
		if item != tombstone {
			s.onMove(item, len(kept))
			kept = append(kept, item)
		}
	}
	s.items = kept
}

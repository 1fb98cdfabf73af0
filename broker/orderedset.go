package broker

// list is an insertion-ordered set whose items know their own place, so that adding, removing and walking on are all
// cheap: removing leaves a hole, and holes are squeezed out once they outnumber the items. A removal therefore costs
// a constant on average, whatever the length, and the order of the rest never changes.
//
// A plain slice would cost a shift and a renumbering for each removal: a thousand subscribers of one topic that leave
// together would do half a million steps.
type list[T comparable] struct {
	items []T // the zero T is a hole
	live  int
	moved func(item T, place int) // tells an item where it now is
}

// minSqueeze is the length under which holes are left alone; small lists are dropped whole soon enough.
const minSqueeze = 16

func (l *list[T]) add(item T) {
	l.moved(item, len(l.items))
	l.items = append(l.items, item)
	l.live++
}

// remove makes a hole at place. The item must be there.
func (l *list[T]) remove(place int) {
	var hole T
	l.items[place] = hole
	l.live--
	if len(l.items) >= minSqueeze && l.live < len(l.items)/2 {
		l.squeeze()
	}
}

// squeeze copies to an array of the right size rather than sliding down, so that a list which was once long gives
// its memory back.
func (l *list[T]) squeeze() {
	var hole T
	kept := make([]T, 0, l.live+l.live/2)
	for _, item := range l.items {
		if item != hole {
			l.moved(item, len(kept))
			kept = append(kept, item)
		}
	}
	l.items = kept
}

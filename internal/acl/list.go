package acl

import "slices"

// list keeps values by key, in the order in which the keys came. All that it does takes the same time however long it
// is, or a command of many rules would take the square of that: a removed item leaves a gap, and gaps are closed when
// they are half of the list.
//
// Lists of users that were handed out are shared and do not change: who changes a user works on clones, and settles
// them, which leaves no gaps. Those may be ranged over by items.
type list[K comparable, V any] struct {
	items []item[K, V]
	index map[K]int // of each key in items; nil until the first look-up
	gaps  int
	steps int // items that were looked at or moved, for tests
}

type item[K comparable, V any] struct {
	key   K
	value V
	gone  bool
}

func (l *list[K, V]) len() int { return len(l.items) - l.gaps }

func (l *list[K, V]) clone() list[K, V] {
	c := list[K, V]{items: slices.Clone(l.items), gaps: l.gaps, steps: l.steps}
	c.compact()
	return c
}

// find returns the value of a key, or nil.
func (l *list[K, V]) find(key K) *V {
	if l.index == nil {
		l.index = make(map[K]int, len(l.items))
		l.reindex()
	}
	if i, found := l.index[key]; found {
		return &l.items[i].value
	}
	return nil
}

// getOrAdd returns the value of a key, which comes last and has no value yet if it is new.
func (l *list[K, V]) getOrAdd(key K) *V {
	if v := l.find(key); v != nil {
		return v
	}
	l.index[key] = len(l.items)
	l.items = append(l.items, item[K, V]{key: key})
	return &l.items[len(l.items)-1].value
}

// remove takes a key out, and tells whether it was there.
func (l *list[K, V]) remove(key K) bool {
	if l.find(key) == nil {
		return false
	}
	l.items[l.index[key]] = item[K, V]{gone: true} // it must not keep anything alive
	delete(l.index, key)
	if l.gaps++; l.gaps > len(l.items)/2 {
		l.compact()
		l.reindex()
	}
	return true
}

// compact closes the gaps.
func (l *list[K, V]) compact() {
	if l.gaps > 0 {
		l.steps += len(l.items)
		l.items = slices.DeleteFunc(l.items, func(i item[K, V]) bool { return i.gone })
		l.gaps = 0
	}
}

// reindex notes the place of each key.
func (l *list[K, V]) reindex() {
	l.steps += len(l.items)
	for i := range l.items {
		if !l.items[i].gone {
			l.index[l.items[i].key] = i
		}
	}
}

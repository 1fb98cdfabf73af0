package acl

import "slices"

// list is a map from keys to values in insertion order. Every operation takes amortized constant time; otherwise a
// command with many rules would take quadratic time. A removed item leaves a tombstone, and the list compacts itself when
// half of it are tombstones.
//
// Lists of published users are shared and immutable: a change works on clones and compacts them. Only a compacted list
// may be ranged over by items.
type list[K comparable, V any] struct {
	items []item[K, V]
	index map[K]int // of each key in items; nil until the first lookup
	gaps  int
	steps int // items visited or moved, for tests
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

// find returns the value of a key, or nil. The first call builds the index.
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

// getOrAdd returns the value of a key. It appends a new key with a zero value.
func (l *list[K, V]) getOrAdd(key K) *V {
	if v := l.find(key); v != nil {
		return v
	}
	l.index[key] = len(l.items)
	l.items = append(l.items, item[K, V]{key: key})
	return &l.items[len(l.items)-1].value
}

// remove removes a key and reports whether the list had it.
func (l *list[K, V]) remove(key K) bool {
	if l.find(key) == nil {
		return false
	}
	l.items[l.index[key]] = item[K, V]{gone: true} // a tombstone must keep no memory alive
	delete(l.index, key)
	if l.gaps++; l.gaps > len(l.items)/2 {
		l.compact()
		l.reindex()
	}
	return true
}

// compact removes the tombstones. It does not rebuild the index.
func (l *list[K, V]) compact() {
	if l.gaps > 0 {
		l.steps += len(l.items)
		l.items = slices.DeleteFunc(l.items, func(i item[K, V]) bool { return i.gone })
		l.gaps = 0
	}
}

// reindex rebuilds the index.
func (l *list[K, V]) reindex() {
	l.steps += len(l.items)
	for i := range l.items {
		if !l.items[i].gone {
			l.index[l.items[i].key] = i
		}
	}
}

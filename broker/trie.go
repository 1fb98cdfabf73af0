package broker

import (
	"slices"
	"strings"
)

// trie is a persistent radix tree: with copies the nodes on the way to a key and shares all others, so that goroutines may read
// an older tree meanwhile. Nothing of it is written to again. A nil trie is empty.
type trie[V any] struct {
	label    string // the bytes from its parent to here
	keys     string // the first byte of each child's label
	children []*trie[V]
	value    *V // of the key that ends here; nil if there is none
}

// with returns the tree in which key has the value v, or none if v is nil. A node that is no end and no fork joins its child.
func (t *trie[V]) with(key string, v *V) *trie[V] {
	if t == nil {
		if v == nil {
			return nil
		}
		return &trie[V]{label: key, value: v}
	}
	same := 0
	for same < min(len(key), len(t.label)) && key[same] == t.label[same] {
		same++
	}
	changed := *t
	if same < len(t.label) {
		if v == nil {
			return t // there is no such key
		}
		lower := changed
		lower.label = strings.Clone(t.label[same:])
		changed = trie[V]{label: strings.Clone(key[:same])}
		changed.setChild(-1, &lower)
	}
	if same == len(key) {
		changed.value = v
		return changed.joined()
	}
	i := strings.IndexByte(changed.keys, key[same])
	var child *trie[V]
	if i >= 0 {
		child = changed.children[i]
	}
	changed.setChild(i, child.with(key[same:], v))
	return changed.joined()
}

// setChild replaces child i, adds one if i is -1, and removes it for nil. The array may be shared, so it is copied.
func (t *trie[V]) setChild(i int, child *trie[V]) {
	switch {
	case child == nil && i < 0:
	case child == nil:
		t.keys = t.keys[:i] + t.keys[i+1:]
		t.children = slices.Delete(slices.Clone(t.children), i, i+1)
	case i < 0:
		t.keys += child.label[:1]
		t.children = append(slices.Clip(t.children), child)
	default:
		t.children = slices.Clone(t.children)
		t.children[i] = child
	}
}

func (t trie[V]) joined() *trie[V] {
	if t.value == nil && len(t.children) == 0 {
		return nil
	}
	if t.value == nil && len(t.children) == 1 {
		label := t.label + t.children[0].label
		t = *t.children[0]
		t.label = label
	}
	return &t
}

// enter returns t and what follows its label in key, or nil if key does not begin with the label.
func (t *trie[V]) enter(key []byte) (*trie[V], []byte) {
	if t == nil || len(key) < len(t.label) || string(key[:len(t.label)]) != t.label {
		return nil, nil
	}
	return t, key[len(t.label):]
}

// down is enter for the child that rest leads to.
func (t *trie[V]) down(rest []byte) (*trie[V], []byte) {
	if len(rest) == 0 {
		return nil, nil
	}
	i := strings.IndexByte(t.keys, rest[0])
	if i < 0 {
		return nil, nil
	}
	return t.children[i].enter(rest)
}

// find returns the value of key, or nil.
func (t *trie[V]) find(key []byte) *V {
	t, rest := t.enter(key)
	for t != nil && len(rest) > 0 {
		t, rest = t.down(rest)
	}
	if t == nil {
		return nil
	}
	return t.value
}

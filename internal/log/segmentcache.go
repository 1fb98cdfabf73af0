package log

import (
	"container/list"
	"sync"
)

// segmentCache keeps what was made of segments and used last, up to a bound in bytes. Its newest value stays, however large it is.
type segmentCache[T interface{ bytes() int }] struct {
	making sync.Mutex // held while a value is made from a whole segment, so that readers do not do it side by side
	bound  int

	mu     sync.Mutex // guards what follows
	values map[*segment]*list.Element
	order  list.List // of cached; the one used last is at the front
	size   int
}

type cached[T any] struct {
	segment *segment
	value   T
	size    int // what it was charged with
}

// get returns the value of a segment, or the zero value.
func (c *segmentCache[T]) get(s *segment) (value T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.values[s]; e != nil {
		c.order.MoveToFront(e)
		return e.Value.(cached[T]).value
	}
	return value
}

// put keeps a value in the place of an older one, and drops others beyond the bound.
func (c *segmentCache[T]) put(s *segment, value T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(s)
	if c.values == nil {
		c.values = make(map[*segment]*list.Element)
	}
	size := value.bytes()
	c.values[s] = c.order.PushFront(cached[T]{s, value, size})
	c.size += size
	for c.size > c.bound && c.order.Len() > 1 {
		c.remove(c.order.Back().Value.(cached[T]).segment)
	}
}

// drop removes the value of a segment.
func (c *segmentCache[T]) drop(s *segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(s)
}

// remove is drop with the lock held.
func (c *segmentCache[T]) remove(s *segment) {
	if e := c.values[s]; e != nil {
		c.size -= e.Value.(cached[T]).size
		c.order.Remove(e)
		delete(c.values, s)
	}
}

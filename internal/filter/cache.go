package filter

import (
	"runtime"
	"strings"
	"sync"
	"weak"
)

// Cache returns the same Predicate for equal texts while the predicate is reachable. It is safe for concurrent use. The
// zero value is empty.
type Cache struct {
	mu   sync.Mutex
	held map[string]weak.Pointer[Predicate] // guarded by mu; remove removes the entry of a collected predicate
}

// Compile returns the cached predicate of the text, or compiles it. Limits are not part of the key: a cached predicate was
// within the limits of its own call.
func (c *Cache) Compile(expression string, l Limits) (*Predicate, error) {
	if p := c.find(expression); p != nil {
		return p, nil
	}
	p, err := Compile(expression, l) // outside the lock: compiling is slow
	if err != nil {
		return nil, err
	}
	return c.keep(p), nil
}

func (c *Cache) find(expression string) *Predicate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held[expression].Value()
}

// keep adds p, or returns the predicate of the same text that another goroutine has added in the meantime.
func (c *Cache) keep(p *Predicate) *Predicate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if earlier := c.held[p.expression].Value(); earlier != nil {
		return earlier
	}
	if c.held == nil {
		c.held = map[string]weak.Pointer[Predicate]{}
	}
	key := strings.Clone(p.expression)
	c.held[key] = weak.Make(p)
	runtime.AddCleanup(p, c.remove, key)
	return p
}

// remove removes the entry of a collected predicate, unless the text has a new predicate. The runtime calls it.
func (c *Cache) remove(expression string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[expression].Value() == nil {
		delete(c.held, expression)
	}
}

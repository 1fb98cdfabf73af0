package filter

import (
	"runtime"
	"strings"
	"sync"
	"weak"
)

// Cache gives equal texts the same Predicate, for as long as anybody holds it. Any number of goroutines may use one at
// once. The zero value is empty.
type Cache struct {
	mu   sync.Mutex
	held map[string]weak.Pointer[Predicate] // guarded by mu; an entry goes when its predicate has been collected
}

// Compile is Compile, unless the text has been compiled already and the predicate is still held. Limits do not tell
// predicates apart: one that is held was within those of its time.
func (c *Cache) Compile(expression string, l Limits) (*Predicate, error) {
	if p := c.find(expression); p != nil {
		return p, nil
	}
	p, err := Compile(expression, l) // not under the lock: others need not wait for a text that may be refused
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

// keep returns p, or the predicate of the same text that somebody else has kept meanwhile.
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
	runtime.AddCleanup(p, c.forget, key)
	return p
}

// forget runs when the predicate of an entry has been collected. The same text may have another one by now.
func (c *Cache) forget(expression string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[expression].Value() == nil {
		delete(c.held, expression)
	}
}

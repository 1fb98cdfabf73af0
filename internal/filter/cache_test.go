package filter

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (c *Cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held)
}

func TestCacheGivesEqualTextsTheSamePredicate(t *testing.T) {
	var c Cache
	p, err := c.Compile("price > 100", Limits{})
	require.NoError(t, err)
	runtime.GC()
	same, err := c.Compile("price > 100", Limits{})
	require.NoError(t, err)
	assert.Same(t, p, same)
	other, err := c.Compile("price  > 100", Limits{})
	require.NoError(t, err)
	assert.NotSame(t, p, other, "another text, though it means the same")
	_, err = c.Compile("price >", Limits{})
	var e *Error
	assert.ErrorAs(t, err, &e)
	assert.Equal(t, 2, c.size(), "what is wrong is not kept")
	runtime.KeepAlive(p)
	runtime.KeepAlive(other)
}

func TestCacheForgetsWhatNobodyHolds(t *testing.T) {
	var c Cache
	held, err := c.Compile("held", Limits{})
	require.NoError(t, err)
	for i := range 100 {
		_, err := c.Compile(fmt.Sprintf("a == %d", i), Limits{})
		require.NoError(t, err)
	}
	assert.Eventually(t, func() bool {
		runtime.GC()
		return c.size() == 1
	}, 10*time.Minute, time.Millisecond)
	same, err := c.Compile("held", Limits{})
	require.NoError(t, err)
	assert.Same(t, held, same)
	again, err := c.Compile("a == 1", Limits{})
	require.NoError(t, err)
	assert.Equal(t, "a == 1", again.String())
}

func TestCacheIsSafeForManyGoroutines(t *testing.T) {
	var c Cache
	const goroutines, texts = 8, 4
	var held [goroutines][texts]*Predicate
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range 100 * texts {
				p, err := c.Compile(fmt.Sprintf("a == %d", i%texts), Limits{})
				if !assert.NoError(t, err) {
					return
				}
				if i%100 == 0 {
					runtime.GC()
				}
				held[g][i%texts] = p
			}
		})
	}
	wg.Wait()
	for g := range held {
		for i := range held[g] {
			assert.Same(t, held[0][i], held[g][i])
		}
	}
}

package client

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWaiters(t *testing.T) {
	var ws waiters
	one, two, three := ws.add(1), ws.add(2), ws.add(3)
	ws.wake(1)
	assert.Len(t, one.ready, 1)
	assert.Empty(t, two.ready)
	ws.done(one) // its context ended at that moment
	assert.Same(t, one, ws.add(4), "it is used again")
	assert.Empty(t, one.ready, "of what woke it before, nothing is left")
	ws.done(two)
	ws.wake(3)
	assert.Len(t, three.ready, 1)
	assert.Equal(t, []*waiter{one}, ws.waiting)
	ws.wake(4)
	assert.Len(t, one.ready, 1)
	assert.Empty(t, ws.waiting)
}

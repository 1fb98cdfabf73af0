package command

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestALogLimiterAllowsABurstThenOneASecond(t *testing.T) {
	var g LogLimiter
	at := time.Millisecond // the process has just begun
	for range burst {
		held, ok := g.Allow(at)
		assert.True(t, ok)
		assert.Zero(t, held)
	}
	for range 5 {
		_, ok := g.Allow(at)
		assert.False(t, ok)
	}
	held, ok := g.Allow(at + time.Second)
	assert.True(t, ok, "a second later there is room for one")
	assert.Equal(t, 5, held, "which tells how many were kept back")
	_, ok = g.Allow(at + time.Second)
	assert.False(t, ok)

	for i := range burst { // after a long quiet the whole burst
		held, ok = g.Allow(time.Hour)
		assert.True(t, ok)
		assert.Equal(t, map[bool]int{true: 1}[i == 0], held)
	}
	_, ok = g.Allow(time.Hour)
	assert.False(t, ok)
}

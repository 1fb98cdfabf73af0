//go:build !race

package server_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// A goroutine's stack is 2 KiB or 4. That a subscriber over RESP gets by with 2 is a third of what it costs while it is
// idle. Who publishes, or types lines, needs 4. (The race detector's builds need more.)
func TestAnIdleConnectionKeepsASmallStack(t *testing.T) {
	s := harness.Start(t, server.Options{})
	usual := []struct{ say, hear string }{
		{"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"},
		{"*1\r\n$4\r\nPING\r\n", "+PONG\r\n"},
	}
	const conns = 500
	before := stacks()
	for i := range conns {
		c := s.Dial(t)
		u := usual[i%len(usual)]
		c.Send("%s", u.say)
		c.Expect(u.hear)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
	}
	each := (stacks() - before) / conns
	assert.Less(t, each, int64(3<<10), "bytes of stack a connection")
}

func stacks() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.StackInuse)
}

package server_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// Both ends of a Unix connection are shown as the socket's path: as in Redis, where the peer's end has no name either.
func TestAddressesOfAUnixConnection(t *testing.T) {
	path := t.TempDir() + "/conch.sock"
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	s := harness.Start(t, server.Options{})
	s.Serve(l)
	sock, err := net.Dial("unix", path)
	require.NoError(t, err)
	c, watcher := harness.Use(t, sock), s.Dial(t)
	c.Command("CLIENT", "INFO")
	frame, err := c.Frame()
	require.NoError(t, err)
	assert.Contains(t, string(frame), " addr="+path+":0 laddr="+path+":0 fd=")

	watcher.Send("MONITOR\n")
	watcher.Expect("+OK\r\n")
	c.Fence()
	assert.Contains(t, watcher.Line(), " [0 unix:"+path+`] "PING"`)

	watcher.Command("CLIENT", "KILL", path+":0")
	watcher.Line() // the monitor shows its own command, too
	watcher.Expect("+OK\r\n")
	c.ExpectEnd()
}

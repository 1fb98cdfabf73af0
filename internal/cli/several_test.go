package cli

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// unready returns the address of a server that replies LOADING to each first command.
func unready(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			sock, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = sock.Read(make([]byte, 1<<10))
			_, _ = io.WriteString(sock, "-LOADING the node catches up\r\n")
			_ = sock.Close()
		}
	}()
	return l.Addr().String()
}

// Of several servers, the first that is ready is used.
func TestSeveralServers(t *testing.T) {
	s := harness.Start(t, server.Options{})
	closed, loading := harness.Unreachable, unready(t)
	for _, tt := range []struct {
		args   []string
		url    string
		status int
		stdout string
		stderr string
	}{
		{[]string{"ping"}, closed + "," + loading + "," + s.Addr, statusOK, "PONG from " + s.Addr + " in ", ""},
		{[]string{"do", "ECHO", "hi"}, "conch://" + closed + "," + s.Addr, statusOK, "hi\n", ""},
		{[]string{"pub", "news", "hi"}, loading + "," + s.Addr, statusOK, "", ""},
		{[]string{"ping"}, closed + "," + loading, statusFailure, "", "no server of several can be used: " + closed + ": "},
		{[]string{"ping"}, closed + "," + loading, statusFailure, "", "; " + loading + ": LOADING the node catches up"},
		{[]string{"health"}, closed + "," + s.Addr, statusUsage, "", "expected one server, not 2"},
		{[]string{"bench"}, closed + "," + s.Addr, statusUsage, "", "expected one server, not 2"},
		{[]string{"ping"}, closed + ",", statusUsage, "", "one in the list of hosts is not host:port"},
	} {
		var out, stderr bytes.Buffer
		env := func(name string) (string, bool) {
			if name == "CONCH_URL" {
				return tt.url, true
			}
			return "", false
		}
		status := run(append([]string{"conch"}, tt.args...), env, nil, &out, &stderr, nil)
		assert.Equal(t, tt.status, status, "%v: %s", tt.args, stderr.String())
		assert.Contains(t, out.String(), tt.stdout)
		assert.Contains(t, stderr.String(), tt.stderr)
	}
}

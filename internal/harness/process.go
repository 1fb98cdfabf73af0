package harness

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Process is a conch that runs inside the test. Like a process, it has a log and receives signals.
type Process struct {
	Address string
	First   map[string]any // the first line of the log
	Log     *Log
	Signals chan os.Signal

	t      testing.TB
	exited chan struct{} // closed when run has returned
}

// StartProcess runs conch and waits until it listens. When the test ends, conch has ended.
func StartProcess(t testing.TB, run func(log *Log, signals <-chan os.Signal)) *Process {
	t.Helper()
	p := &Process{Log: NewLog(), Signals: make(chan os.Signal, 8), t: t, exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		defer p.Log.End()
		run(p.Log, p.Signals)
	}()
	t.Cleanup(func() {
		p.Signals <- os.Interrupt
		select {
		case <-p.exited: // with all files closed: the test removes them
		case <-time.After(time.Minute):
			p.Signals <- os.Interrupt // a second one ends draining
			<-p.exited
		}
	})
	p.First = p.Log.Await(t, "listening", 1)
	p.Address, _ = p.First["address"].(string)
	return p
}

// Wait waits until conch has ended.
func (p *Process) Wait() { <-p.exited }

// Dial connects, and closes the connection when the test ends.
func (p *Process) Dial() net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.Address)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Request sends a command and reads the reply, which must be as expected.
func (p *Process) Request(c net.Conn, command, reply string) {
	p.t.Helper()
	_, err := io.WriteString(c, command)
	require.NoError(p.t, err)
	got := make([]byte, len(reply))
	_, err = io.ReadFull(c, got)
	require.NoError(p.t, err)
	require.Equal(p.t, reply, string(got))
}

package cli

import (
	"bytes"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/conchtest"
	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/daemon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process is a conch that runs inside the test.
type process struct {
	t       *testing.T
	address string
	first   map[string]any // the first line of its log
	log     *conchtest.Log
	signals chan os.Signal
	exited  chan struct{} // closed when status is there
	status  int
}

// start runs conch on a free port and waits until it listens. When the test ends it is gone.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, log: conchtest.NewLog(), signals: make(chan os.Signal, 8), exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		defer p.log.End()
		args := append([]string{"conch", "127.0.0.1:0"}, args...)
		p.status = run(args, nothing, nil, io.Discard, p.log, p.signals)
	}()
	t.Cleanup(func() {
		p.signals <- os.Interrupt
		p.signals <- os.Interrupt // a second one ends draining
		<-p.exited
	})
	p.first = p.log.Await(t, "listening", 1)
	p.address, _ = p.first["address"].(string)
	return p
}

func (p *process) wait() int {
	<-p.exited
	return p.status
}

// dial connects, and closes the connection when the test ends.
func (p *process) dial() net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.address)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

// request sends a command and reads the reply, which must be as expected.
func (p *process) request(c net.Conn, command, reply string) {
	p.t.Helper()
	_, err := io.WriteString(c, command)
	require.NoError(p.t, err)
	got := make([]byte, len(reply))
	_, err = io.ReadFull(c, got)
	require.NoError(p.t, err)
	require.Equal(p.t, reply, string(got))
}

// run runs conch with these, as version dev.
func run(args []string, env config.Lookup, stdin io.Reader, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	return Run(&Env{Version: "dev", Args: args, LookupEnv: env, Stdin: stdin, Stdout: stdout, Stderr: stderr, Signals: signals})
}

// The daemon ends with the status that its error has.
func TestStatusOfTheDaemon(t *testing.T) {
	p := start(t)
	p.signals <- os.Interrupt
	assert.Equal(t, statusOK, p.wait())

	p = start(t, "--drain-timeout=1h", "--slow-soft=32MiB")
	stuck := p.dial() // and reads nothing
	p.request(stuck, "SUB t\n", "OK SUB t\n")
	publisher := p.dial()
	message := "PUB t " + strings.Repeat("x", 60<<10) + "\n"
	for range 400 {
		p.request(publisher, message, "OK PUB t\n")
	}
	p.signals <- syscall.SIGTERM
	p.signals <- syscall.SIGTERM
	assert.Equal(t, 128+int(syscall.SIGTERM), p.wait())
}

func TestReport(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		line   string
	}{
		{nil, 0, ""},
		{errBroken, statusFailure, "conch: nobody reads\n"},
		{usageErr("", "many\nlines: %w", errBroken), statusUsage, "conch: many lines: nobody reads; see conch --help\n"},
		{&exitError{status: 130}, 130, ""},
		{exitStatus(nil), 0, ""},
		{exitStatus(errBroken), statusFailure, "conch: nobody reads\n"},
		{exitStatus(&daemon.OptionsError{Err: errBroken}), statusUsage, "conch: nobody reads; see conch serve --help\n"},
		{exitStatus(&daemon.SignalError{Signal: os.Interrupt}), 130, ""},
		{exitStatus(daemon.ErrCorePanicked), statusDefect, ""},
	} {
		var out bytes.Buffer
		assert.Equal(t, c.status, report(c.err, &out))
		assert.Equal(t, c.line, out.String())
	}
	assert.EqualError(t, &exitError{status: 130}, "exit status 130")
}

// environment is a lookup in a map.
func environment(variables map[string]string) config.Lookup {
	return func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
}

var nothing = environment(nil)

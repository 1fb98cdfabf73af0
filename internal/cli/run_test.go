package cli

import (
	"bytes"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/daemon"
	"github.com/conchmq/conch/internal/harness"
)

func TestMain(m *testing.M) {
	benchStallTime = harness.Patience
	goleak.VerifyTestMain(m)
}

// process is a conch that runs inside the test.
type process struct {
	*harness.Process
	status int // set when it has ended
}

// start runs conch on a free port and waits until it listens. When the test ends it is gone.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{}
	p.Process = harness.StartProcess(t, func(log *harness.Log, signals <-chan os.Signal) {
		p.status = run(append([]string{"conch", "127.0.0.1:0"}, args...), nothing, nil, io.Discard, log, signals)
	})
	return p
}

func (p *process) wait() int {
	p.Wait()
	return p.status
}

// run runs conch with these, as version dev.
func run(args []string, env config.Lookup, stdin io.Reader, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	return Run(&Env{Version: "dev", Args: args, LookupEnv: env, Stdin: stdin, Stdout: stdout, Stderr: stderr, Signals: signals})
}

// The daemon ends with the status that its error has.
func TestStatusOfTheDaemon(t *testing.T) {
	p := start(t)
	p.Signals <- os.Interrupt
	assert.Equal(t, statusOK, p.wait())

	p = start(t, "--drain-timeout=1h", "--slow-soft=32MiB", "--slow-time=1h")
	stuck := p.Dial() // and reads nothing
	p.Request(stuck, "SUB t\n", "OK SUB t\n")
	publisher := p.Dial()
	message := "PUB t " + strings.Repeat("x", 60<<10) + "\n"
	for range 400 {
		p.Request(publisher, message, "OK PUB t\n")
	}
	p.Signals <- syscall.SIGTERM
	p.Signals <- syscall.SIGTERM
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

package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

const (
	stopping = "stopping: connections drain first"
	changed  = "log level changed"

	reloading = "reloading the TLS files, the ACL file, the log level and the connectors"
)

func TestItServesUntilASignal(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			p := start(t)
			c := p.Dial()
			p.Request(c, "*1\r\n$4\r\nPING\r\n", "+PONG\r\n")
			p.Signals <- sig
			assert.NoError(t, p.wait())
			rest, err := io.ReadAll(c)
			assert.NoError(t, err, "closed, not reset")
			assert.Empty(t, rest)
			assert.Equal(t, sig.String(), p.Log.Await(t, stopping, 1)["signal"])
			p.Log.Await(t, "stopped", 1)
			_, err = net.Dial("tcp", p.Address)
			assert.Error(t, err, "the port is closed")
		})
	}
}

// The log starts with three lines, in which no setting stands; those are at debug.
func TestTheFirstLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conch.toml")
	require.NoError(t, os.WriteFile(file, []byte("max-line = 2048"), 0o600))
	p := start(t, "--config="+file, "--slow-hard=1MiB", "--max-message=100MiB", "--log-level=debug")
	host, port, err := net.SplitHostPort(p.Address)
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1", host)
	assert.NotEqual(t, "0", port, "the port listened on, not the one asked for")
	assert.Equal(t, "dev", p.First["version"])
	assert.Equal(t, file, p.First["config"])
	assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)$`, p.First["time"])
	assert.Len(t, p.First, 6, "what runs, and no settings: %v", p.First)
	p.Log.Await(t, "clients of this machine alone are served: protected-mode is on, and the default user has no password", 1)
	example := p.Log.Await(t, "to try it, type these in two terminals", 1)
	assert.Equal(t, "conch sub --url conch://"+p.Address+" news", example["subscribe"])
	assert.Equal(t, "conch pub --url conch://"+p.Address+" news hello", example["publish"])

	settings := p.Log.Await(t, "settings", 1)
	for _, s := range config.Settings() {
		assert.Contains(t, settings, s.Name)
	}
	for field, want := range map[string]any{
		"level": "debug", "protected-mode": true, "max-line": 2048.0,
		"slow-hard": 1048576.0, "slow-soft": 1048576.0, "slow-time": "1m0s",
		"max-command": float64(100<<20 + 4096 + 1024), // raised to what such a message needs
	} {
		assert.Equal(t, want, settings[field], field)
	}
}

func TestTheLogNamesTheClientsThatAreServed(t *testing.T) {
	p := start(t, "--protected-mode=false")
	line := p.Log.Await(t, "clients of all machines are served, without a password: protected-mode is off", 1)
	assert.Equal(t, "warn", line["level"])
	p = start(t, "--requirepass=x")
	p.Log.Await(t, "clients of all machines are served, after they authenticate", 1)
	assert.NotContains(t, p.Log.Text(), `"settings"`, "they are at debug")
}

func TestTheLogNamesUnknownVariables(t *testing.T) {
	c := load(t, "--listen=127.0.0.1:0")
	c.Unknown = []string{"CONCH_LISTN (did you mean CONCH_LISTEN?)"}
	log, signals := harness.NewLog(), make(chan os.Signal, 1)
	signals <- os.Interrupt
	require.NoError(t, Serve(c, log, signals))
	assert.Equal(t, c.Unknown[0], log.Await(t, "unknown environment variable: it has no effect", 1)["variable"])
}

func TestTheLogCanBeReadByPeople(t *testing.T) {
	var log bytes.Buffer // written to by one goroutine, which Serve has waited for when it returns
	signals := make(chan os.Signal, 1)
	signals <- os.Interrupt
	assert.NoError(t, Serve(load(t, "--listen=127.0.0.1:0", "--log-format=console"), &log, signals))
	assert.Regexp(t, `(?m)^\S+ INF listening address=`, log.String())
	assert.NotContains(t, log.String(), "\x1b", "no colors: it is no terminal")
	assert.NotContains(t, log.String(), "{")
}

func TestATakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	address := l.Addr().String()
	err = Serve(load(t, "--listen="+address), io.Discard, nil)
	assert.EqualError(t, err, "cannot listen on "+address+": address already in use; another conch (or another program) "+
		"has it; choose another address, e.g. conch "+suggestAddress(address))
}

func TestAnAddressOfAnotherMachine(t *testing.T) {
	_, err := listen("192.0.2.1:8889", "conch ") // of a network that exists in documents only
	assert.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
	assert.ErrorContains(t, err, "this machine has no such address")
}

func TestSuggestAddress(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8889": "127.0.0.1:8890", ":7777": ":7778", "[::1]:1": "[::1]:8889", ":80": ":8889", ":65535": ":8889",
	} {
		assert.Equal(t, want, suggestAddress(address))
	}
}

// fill subscribes a connection that reads nothing, and queues more for it than the kernel holds. It returns the
// connection and what it has yet to read.
func fill(p *process) (subscriber net.Conn, waiting string) {
	p.t.Helper()
	subscriber, publisher := p.Dial(), p.Dial()
	p.Request(subscriber, "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nt\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nt\r\n:1\r\n")
	const messages = 24
	payload := fmt.Sprintf("$%d\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20))
	for range messages {
		p.Request(publisher, "*3\r\n$7\r\nPUBLISH\r\n$1\r\nt\r\n"+payload, ":1\r\n")
	}
	return subscriber, strings.Repeat("*3\r\n$7\r\nmessage\r\n$1\r\nt\r\n"+payload, messages)
}

func TestWhatIsQueuedIsDeliveredBeforeTheEnd(t *testing.T) {
	p := start(t, "--drain-timeout=1h", "--slow-soft=32MiB", "--slow-time=1h")
	c, waiting := fill(p)
	p.Signals <- syscall.SIGTERM
	p.Log.Await(t, stopping, 1)
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Len(t, got, len(waiting))
	assert.True(t, bytes.Equal(got, []byte(waiting))) // a failure must not print megabytes
	_ = c.Close()
	assert.NoError(t, p.wait())
}

func TestASecondSignalEndsItAtOnce(t *testing.T) {
	p := start(t, "--drain-timeout=1h", "--slow-soft=32MiB", "--slow-time=1h")
	fill(p)
	p.Signals <- syscall.SIGTERM
	p.Log.Await(t, stopping, 1)
	p.Signals <- syscall.SIGUSR1 // not a second signal to stop
	p.Log.Await(t, changed, 1)
	p.Signals <- syscall.SIGTERM
	assert.Equal(t, &SignalError{syscall.SIGTERM}, p.wait(), "without an hour of draining")
	p.Log.Await(t, "second signal: ending at once, undelivered messages are lost", 1)
	assert.NotContains(t, p.Log.Text(), `"stopped"`)
}

func TestSIGUSR1RaisesTheVerbosity(t *testing.T) {
	for configured, want := range map[string][]string{
		"info":  {"debug", "trace", "info", "debug"},
		"debug": {"trace", "debug", "trace"},
		"trace": {"trace", "trace"},
	} {
		t.Run(configured, func(t *testing.T) {
			p := start(t, "--log-level="+configured)
			for i, level := range want {
				p.Signals <- syscall.SIGUSR1
				line := p.Log.Await(t, changed, i+1)
				assert.Equal(t, level, line["log-level"])
				assert.Equal(t, "info", line["level"])
				p.Request(p.Dial(), "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$8\r\nloglevel\r\n",
					fmt.Sprintf("*2\r\n$8\r\nloglevel\r\n$%d\r\n%s\r\n", len(level), level))
			}
		})
	}
}

func TestAPanicInTheCoreEndsTheProcess(t *testing.T) {
	var stderr bytes.Buffer
	log := openLog(&config.Config{LogFormat: config.FormatJSON}, &stderr)
	c := &daemon{log: log, core: startCore(log.Logger, func(context.Context) { panic("a broken table") })}
	assert.ErrorIs(t, c.wait(nil), ErrCorePanicked)
	log.close()
	line := harness.Fields(t, stderr.String()) // one line, no second report
	assert.Equal(t, "fatal", line["level"])
	assert.Equal(t, "a broken table", line["panic"])
	assert.Contains(t, line["stack"], "TestAPanicInTheCoreEndsTheProcess")
}

// A closing conn waits for the core. If the core panics meanwhile, the daemon must not wait too.
func TestAPanicWhileConnectionsDrainEndsTheProcess(t *testing.T) {
	lines := harness.NewLog()
	s := &config.Config{Listen: "127.0.0.1:0", LogFormat: config.FormatJSON}
	log := openLog(s, lines)
	b := broker.New(broker.Options{})
	c, err := build(s, log)
	require.NoError(t, err)
	c.core.stop()
	srv, err := server.New(b, s.Server) // over a broker that does not run yet
	require.NoError(t, err)
	c.server.Shutdown(t.Context())
	c.server = srv

	die := make(chan struct{})
	c.core = startCore(log.Logger, func(context.Context) { <-die; panic("a broken table") })
	c.listeners.serve(c.server, c.web)
	conn, err := net.Dial("tcp", c.listeners.plain.Addr().String())
	require.NoError(t, err)
	lines.Await(t, "connected", 1)

	signals := make(chan os.Signal, 1)
	ended := make(chan error)
	go func() { ended <- c.wait(signals) }()
	signals <- os.Interrupt
	lines.Await(t, stopping, 1)
	close(die)
	assert.ErrorIs(t, <-ended, ErrCorePanicked)

	// A process would be gone now. Here the conn still waits for a core, and gets one.
	rest := startCore(log.Logger, b.Run)
	_ = conn.Close()
	c.server.Shutdown(t.Context())
	rest.stop()
	assert.NoError(t, c.store.Close(0))
	log.close()
}

func TestWarnDescriptors(t *testing.T) {
	for _, c := range []struct {
		limit  uint64
		known  bool
		warned bool
	}{{1031, true, true}, {1032, true, false}, {0, false, false}, {1 << 63, true, false}} {
		var out bytes.Buffer
		warnDescriptors(zerolog.New(&out), c.limit, c.known, 1000)
		assert.Equal(t, c.warned, strings.Contains(out.String(), `"descriptors_needed":1032`), "%d: %s", c.limit, &out)
	}
	limit, known := descriptorLimit()
	assert.True(t, known)
	assert.NotZero(t, limit)
}

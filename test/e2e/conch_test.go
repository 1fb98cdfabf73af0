//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// patience bounds every wait; nothing is measured with it.
const patience = harness.Patience

var binary string // the conch under test

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "conch-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "conch")
	if out, err := exec.Command("go", "build", "-o", binary, "../..").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building conch: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	if theChromium != nil {
		theChromium.stop()
	}
	_ = os.RemoveAll(dir) // a leftover in the temporary folder harms nobody
	os.Exit(code)
}

// conch is a running server.
type conch struct {
	t    *testing.T
	cmd  *exec.Cmd
	host string
	port string
	log  chan map[string]any // its log lines; the test reads those it waits for

	started map[string]any // the line that said where it listens
}

// start runs conch on a free port, behind a shell command such as a ulimit if there is one.
func start(t *testing.T, before string, args ...string) *conch {
	t.Helper()
	if before != "" {
		before += "; "
	}
	script := before + `exec "$0" "$@"`
	return launch(t, "sh", append([]string{"-c", script, binary, "127.0.0.1:0", "--log-format", "json"}, args...)...)
}

// launch runs a command that becomes a conch with a JSON log.
func launch(t *testing.T, name string, args ...string) *conch {
	t.Helper()
	cmd := exec.Command(name, args...)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &conch{t: t, cmd: cmd, log: make(chan map[string]any, 1<<16)}
	go func() {
		defer close(c.log)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			entry := map[string]any{"raw": lines.Text()}
			_ = json.Unmarshal(lines.Bytes(), &entry) // a line that is no JSON is kept as raw
			c.log <- entry
		}
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // most tests have ended it already
	c.started = c.awaitLog("address")
	c.host, c.port, err = net.SplitHostPort(c.started["address"].(string))
	require.NoError(t, err)
	return c
}

// awaitLog returns the next log line that has a field.
func (c *conch) awaitLog(field string) map[string]any {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case entry, ok := <-c.log:
			require.True(c.t, ok, "conch ended before it logged %q", field)
			if _, has := entry[field]; has {
				return entry
			}
		case <-timeout:
			require.FailNow(c.t, "no log line with "+field)
		}
	}
}

// stop ends the server with SIGTERM, as a service manager does, and holds that it exits 0.
func (c *conch) stop() {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(syscall.SIGTERM))
	c.wait()
}

func (c *conch) wait() {
	c.t.Helper()
	for range c.log { // until it closes its stderr: Wait must not come before that
	}
	require.NoError(c.t, c.cmd.Wait())
}

func (c *conch) dial() net.Conn {
	c.t.Helper()
	sock, err := net.Dial("tcp", net.JoinHostPort(c.host, c.port))
	require.NoError(c.t, err)
	return harness.Use(c.t, sock)
}

// program is another program that talks to conch through pipes.
type program struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (c *conch) run(name string, args ...string) *program {
	c.t.Helper()
	return c.runIn("", name, args...)
}

// runIn runs a program in a directory.
func (c *conch) runIn(dir, name string, args ...string) *program {
	c.t.Helper()
	path, err := exec.LookPath(name)
	require.NoError(c.t, err, "%s is not installed; see make e2e", name)
	p := &program{t: c.t, cmd: exec.Command(path, args...)}
	p.cmd.Dir = dir
	p.in, err = p.cmd.StdinPipe()
	require.NoError(c.t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(c.t, err)
	p.cmd.Stderr = p.cmd.Stdout
	p.out = bufio.NewReader(out)
	require.NoError(c.t, p.cmd.Start())
	watch := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() }) // a read that waits for ever ends so
	c.t.Cleanup(func() {
		watch.Stop()
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}

// telnet starts a telnet and reads past its greeting.
func (c *conch) telnet() *program {
	p := c.run("telnet", c.host, c.port)
	p.until("Escape character is")
	return p
}

// cli runs one redis-cli command to its end. Nothing is left of it, so a test may wait by it for long.
func (c *conch) cli(args ...string) string {
	c.t.Helper()
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(within, "redis-cli", append([]string{"-h", c.host, "-p", c.port}, args...)...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) { // its status may be an error of conch
		require.NoError(c.t, err, "redis-cli is not installed; see make e2e")
	}
	require.NoError(c.t, within.Err(), "%s", out)
	return string(out)
}

func (p *program) enter(line string) {
	p.t.Helper()
	_, err := io.WriteString(p.in, line+"\n")
	require.NoError(p.t, err)
}

func (p *program) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	require.NoError(p.t, err, "after %q", line)
	return strings.TrimRight(line, "\r\n")
}

func (p *program) until(prefix string) {
	p.t.Helper()
	for {
		if strings.HasPrefix(p.line(), prefix) {
			return
		}
	}
}

func (p *program) rest() string {
	p.t.Helper()
	out, err := io.ReadAll(p.out)
	require.NoError(p.t, err)
	return string(out)
}

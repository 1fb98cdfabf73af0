//go:build apps

package apps

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// patience bounds the life of each process; nothing is measured with it.
const patience = harness.Patience

// start runs a program until the end of the test and returns what it prints.
func start(t *testing.T, args ...string) *bufio.Scanner {
	t.Helper()
	command := exec.Command(args[0], args[1:]...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it ends with the test
	var errors bytes.Buffer
	command.Stderr = &errors
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM) // it may have ended already
		late := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
		defer late.Stop()
		rest, _ := io.ReadAll(output) // up to its end
		_ = command.Wait()            // a signal ended it, or the output shows why it failed
		if t.Failed() {
			t.Logf("%s:\n%s%s", strings.Join(args, " "), rest, errors.String())
		}
	})
	return bufio.NewScanner(output)
}

// serve starts the process of an application that the other one uses, and returns its address.
func serve(t *testing.T, args ...string) string {
	t.Helper()
	lines := start(t, args...)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			return address
		}
	}
	require.FailNow(t, "it has ended", strings.Join(args, " "))
	return ""
}

// report is the last line that the other process prints.
type report struct {
	Version string
	Checks  []struct {
		Name  string
		OK    bool
		Error string
	}
	OK bool
}

// use runs that process, fails with the check that failed, and returns the versions.
func use(t *testing.T, args ...string) string {
	t.Helper()
	lines := start(t, args...)
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	var r report
	require.NoError(t, json.Unmarshal([]byte(last), &r), "no report of %s: %q", strings.Join(args, " "), last)
	for _, check := range r.Checks {
		require.True(t, check.OK, "%s: %s", check.Name, check.Error)
	}
	require.True(t, r.OK && len(r.Checks) > 0, last)
	return r.Version
}

// startServer runs conch, or redis-server, until the end of the test and returns its host and port.
func startServer(t *testing.T, redis bool) (host, port string) {
	t.Helper()
	address := harness.FreeAddress(t)
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	if redis {
		start(t, "redis-server", "--port", port, "--bind", host, "--save", "", "--loglevel", "warning")
	} else {
		binary := t.TempDir() + "/conch"
		out, err := exec.Command("go", "build", "-o", binary, "../..").CombinedOutput()
		require.NoError(t, err, "%s", out)
		start(t, binary, address, "--log-level", "warn")
	}
	harness.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		return err == nil && c.Close() == nil
	}, fmt.Sprintf("a server at %s", address))
	return host, port
}

//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// Twenty subscribers that never read cost a bounded amount, and nobody else notices them.
func TestSubscribersThatNeverRead(t *testing.T) {
	c := start(t, "")
	for range 20 {
		sock := c.dial()
		send(t, sock, "SUB flood\n")
		expect(t, bufio.NewReader(sock), "OK SUB flood\n")
	}
	reader := c.dial()
	send(t, reader, "SUB flood\n")
	in := bufio.NewReaderSize(reader, 1<<20)
	expect(t, in, "OK SUB flood\n")

	const messages, size = 40_000, 10_000 // 400 MB
	pub := c.dial()
	line := "PUB flood " + strings.Repeat("x", size) + "\n"
	ahead := make(chan struct{}, 1000) // 10 MB: a reader that is slow because the machine is busy must not be evicted
	go func() {
		for range messages {
			ahead <- struct{}{}
			if _, err := io.WriteString(pub, line); err != nil {
				return // the missing messages are noticed below
			}
		}
	}()
	go func() { _, _ = io.Copy(io.Discard, pub) }() // its replies
	began := time.Now()
	want := "UPDATE flood " + strings.Repeat("x", size) + "\n"
	got := make([]byte, len(want))
	for i := range messages {
		_, err := io.ReadFull(in, got)
		require.NoError(t, err)
		require.Equal(t, want, string(got), "message %d", i)
		<-ahead
	}
	peak := harness.PeakMemory(t, c.cmd.Process.Pid)
	t.Logf("400 MB passed in %v; peak memory %d MiB", time.Since(began), peak>>20)
	assert.Less(t, peak, 1<<30)
	assert.Contains(t, c.cli("INFO", "stats"), "client_output_buffer_limit_disconnections:20\r\n")
	c.stop()
}

// With all descriptors taken, those who are connected are served; when some are given back, others get in.
func TestDescriptorsRunOut(t *testing.T) {
	c := start(t, "ulimit -n 40")
	first := c.dial()
	send(t, first, "SUB a\n")
	in := bufio.NewReader(first)
	expect(t, in, "OK SUB a\n")
	var crowd []net.Conn
	for range 60 {
		crowd = append(crowd, c.dial()) // the kernel takes them, conch cannot
	}
	for c.awaitLog("message")["level"] != "warn" {
	}
	send(t, first, "PUB a still here\n")
	expect(t, in, "OK PUB a\nUPDATE a still here\n")
	for _, sock := range crowd {
		require.NoError(t, sock.Close())
	}
	late := c.dial()
	send(t, late, "PING\n")
	expect(t, bufio.NewReader(late), "+PONG\r\n")
	c.stop()
}

func TestKilledAndStartedAgain(t *testing.T) {
	c := start(t, "")
	sub := c.dial()
	send(t, sub, "SUB a\n")
	expect(t, bufio.NewReader(sub), "OK SUB a\n")
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGKILL))
	_, _ = io.Copy(io.Discard, sub) // its subscribers notice
	require.Error(t, c.cmd.Wait())
	again := start(t, "")
	assert.Equal(t, "PONG\n", again.cli("PING"))
	again.stop()
}

func TestTerminationDrains(t *testing.T) {
	c := start(t, "", "--drain-timeout", patience.String())
	sub, pub := c.dial(), c.dial()
	send(t, sub, "SUB a\n")
	in := bufio.NewReader(sub)
	expect(t, in, "OK SUB a\n")
	line := strings.Repeat("x", 50_000)
	const n = 200 // 10 MB: more than the kernel holds
	for range n {
		send(t, pub, "PUB a "+line+"\n")
	}
	expect(t, bufio.NewReader(pub), strings.Repeat("OK PUB a\n", n))
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	expect(t, in, strings.Repeat("UPDATE a "+line+"\n", n))
	rest, err := io.ReadAll(in)
	require.NoError(t, err)
	assert.Empty(t, rest)
	require.NoError(t, sub.Close())
	c.wait()
}

func TestTraceShowsEveryCommand(t *testing.T) {
	c := start(t, "", "--log-level", "trace")
	assert.Equal(t, "0\n", c.cli("PUBLISH", "news", "a\r\nb"))
	assert.Equal(t, `PUBLISH news a\r\nb`, c.awaitLog("command")["command"])
	assert.Equal(t, "OK\n", c.cli("CONFIG", "SET", "loglevel", "info"))
	assert.Equal(t, "CONFIG SET loglevel info", c.awaitLog("command")["command"])
	assert.Equal(t, "PONG\n", c.cli("PING"))
	for range 2 { // info to debug, debug to trace
		require.NoError(t, c.cmd.Process.Signal(syscall.SIGUSR1))
		c.awaitLog("log-level") // two signals that wait are one
	}
	for level := ""; level != "trace\n"; {
		_, level, _ = strings.Cut(c.cli("CONFIG", "GET", "loglevel"), "\n")
	}
	assert.Equal(t, "PONG\n", c.cli("PING"))
	for c.awaitLog("command")["command"] != "PING" {
	}
	c.stop()
}

func send(t *testing.T, w io.Writer, text string) {
	t.Helper()
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
}

func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(r, got)
	require.Equal(t, want, string(got[:n]), fmt.Sprint(err))
}

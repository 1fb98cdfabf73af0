//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// shell starts a shell script in which conch is the binary, and CONCH_URL says where c is.
func (c *conch) shell(script string) *program {
	c.t.Helper()
	c.t.Setenv("PATH", filepath.Dir(binary)+":"+os.Getenv("PATH"))
	c.t.Setenv("CONCH_URL", "conch://"+net.JoinHostPort(c.host, c.port)+"?min_backoff=1ms&max_backoff=10ms")
	return c.run("bash", "-c", script)
}

// awaitListener waits until somebody listens to news.
func (c *conch) awaitListener() {
	c.t.Helper()
	harness.Eventually(c.t, func() bool { return c.cli("PUBSUB", "NUMSUB", "news") == "news\n1\n" }, "a subscriber of news")
}

func TestSubAndPubInPipes(t *testing.T) {
	c := start(t, "")
	sub := c.shell(`conch sub --json news 2>&1 | head -2; echo "${PIPESTATUS[@]}"`)
	c.awaitListener()
	pub := c.shell(`seq 3 | conch pub news; echo done | conch pub --quiet news; echo $?`)
	assert.Equal(t, "published 3 messages, 3 receivers\n0\n", pub.rest())
	assert.JSONEq(t, `{"event":"message","topic":"news","payload":"1"}`, sub.line())
	assert.JSONEq(t, `{"event":"message","topic":"news","payload":"2"}`, sub.line())
	assert.Equal(t, "0 0\n", sub.rest(), "and nothing else is said")
	c.stop()
}

func TestSubCannotBeDriven(t *testing.T) {
	c := start(t, "")
	sub := c.shell("conch sub -n 1 news")
	c.awaitListener()
	c.shell(`printf 'a\x1b[2J\rb\xff\n' | conch pub news`).until("published 1 message, 1 receiver")
	assert.Equal(t, `news a\x1b[2J\rb\xff`+"\n", sub.rest())
	c.stop()
}

func TestSubIsInterrupted(t *testing.T) {
	c := start(t, "")
	sub := c.shell("exec conch sub news")
	c.awaitListener()
	require.NoError(t, sub.cmd.Process.Signal(syscall.SIGINT))
	assert.Empty(t, sub.rest())
	state, err := sub.cmd.Process.Wait()
	require.NoError(t, err)
	assert.Equal(t, 130, state.ExitCode())
	c.stop()
}

// Nobody reads what it prints, so it cannot come to an end by itself; the second signal does not ask.
func TestSubIsInterruptedTwice(t *testing.T) {
	c := start(t, "")
	sub := c.shell("exec conch sub --raw news")
	c.awaitListener()
	c.shell("seq 100000 | conch pub news").until("published 100000 messages")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sub.cmd.Wait() // a signal has ended it
	}()
	harness.Eventually(t, func() bool {
		_ = sub.cmd.Process.Signal(syscall.SIGINT) // fails when it has ended
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}, "the subscriber has ended")
	c.stop()
}

// The server dies in the middle. What it had acknowledged and what is in the file are together the whole input.
func TestPubWhenTheServerIsKilled(t *testing.T) {
	const n = 200_000
	c := start(t, "")
	file := filepath.Join(t.TempDir(), "rest")
	pub := c.shell(fmt.Sprintf(`seq %d | conch pub --json --unacked %s news; echo "status ${PIPESTATUS[1]}"`, n, file))
	for range 10_000 {
		require.True(t, strings.HasPrefix(pub.line(), `{"topic":"news","receivers":0,"sequence":`))
	}
	require.NoError(t, c.cmd.Process.Kill())
	out := pub.rest()
	assert.Contains(t, out, "status 3\n")
	assert.Contains(t, out, "conch: pub: not acknowledged: ")
	acknowledged := 10_000 + strings.Count(out, `{"topic":"news"`)
	rest, err := os.ReadFile(file)
	require.NoError(t, err)
	var want strings.Builder
	for i := acknowledged + 1; i <= n; i++ {
		fmt.Fprintln(&want, i)
	}
	same := want.String() == string(rest) // a difference of megabytes is nothing to print
	assert.True(t, same, "%d acknowledged, %d in the file", acknowledged, strings.Count(string(rest), "\n"))
}

//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// One command starts conch and the page, which TestTheChat plays at length. SIGTERM ends both.
func TestTheChatIsOneCommand(t *testing.T) {
	b := startBrowser(t)
	chat := filepath.Join(t.TempDir(), "chat")
	out, err := exec.Command("go", "build", "-o", chat, "../../examples/chat").CombinedOutput()
	require.NoError(t, err, "%s", out)
	_, page := freePort(t)
	_, api := freePort(t)
	c := launch(t, chat, "-conch", binary, "-page", "localhost:"+page, "-http", "localhost:"+api, "--", "127.0.0.1:0", "--log-format", "json")
	p := b.open(fmt.Sprintf("http://localhost:%s/?server=http://localhost:%s", page, api))
	p.await(`document.querySelector("#state").textContent`, `"connected"`)
	publisher := harness.Use(t, c.dial())
	publisher.Send("PUB chat hello from telnet\n")
	publisher.Expect("OK PUB chat\n")
	p.await(`document.querySelector("#messages").textContent`, `"hello from telnet"`)
	p.close()
	c.stop()
	_, err = net.Dial("tcp", net.JoinHostPort(c.host, c.port))
	assert.Error(t, err, "conch has ended with the chat")
}

// The bridge as it is, but for the port of Redis.
func TestTheBridge(t *testing.T) {
	text, err := os.ReadFile("../../examples/bridge/conch.toml")
	require.NoError(t, err)
	redis := startRedis(t)
	require.Equal(t, 2, strings.Count(string(text), `"redis://localhost:6379?`))
	config := filepath.Join(t.TempDir(), "conch.toml")
	adapted := strings.ReplaceAll(string(text), "localhost:6379", redis.address)
	require.NoError(t, os.WriteFile(config, []byte(adapted), 0o600))
	c := start(t, "", "--config", config)
	subscriber := harness.Use(t, c.dial())
	subscriber.Send("SUB news\n")
	subscriber.Expect("OK SUB news\n")

	host, port, err := net.SplitHostPort(redis.address)
	require.NoError(t, err)
	atRedis := func(args ...string) string {
		out, err := exec.Command("redis-cli", append([]string{"-h", host, "-p", port}, args...)...).Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	const calm, urgent = `{"priority": 1, "text": "all is well"}`, `{"priority": 7, "text": "the bridge is open"}`
	harness.Eventually(t, func() bool { return atRedis("PUBLISH", "news", calm) == "1" }, "conch subscribes at Redis")
	require.Equal(t, "1", atRedis("PUBLISH", "news", urgent))
	subscriber.Expect("UPDATE news " + calm + "\nUPDATE news " + urgent + "\n")

	harness.Eventually(t, func() bool { return atRedis("XLEN", "archive") != "0" }, "the urgent one is in the stream of Redis")
	entries := atRedis("XRANGE", "archive", "-", "+")
	assert.Contains(t, entries, "the bridge is open")
	assert.NotContains(t, entries, "all is well")
	c.stop()
}

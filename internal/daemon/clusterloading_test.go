package daemon

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// newCluster is a cluster of which no node runs yet.
func newCluster(t *testing.T, names ...string) *nodes {
	c := &nodes{t: t, names: names, addresses: map[string]string{}, dirs: map[string]string{}, running: map[string]*process{}}
	for _, name := range names {
		c.addresses[name], c.dirs[name] = harness.FreeAddress(t), t.TempDir()
	}
	return c
}

const loading = "LOADING this node catches up with its cluster; try again, or another node"

// A node that catches up answers LOADING at once, over all dialects, and 503 over HTTP, and serves the same connection afterwards.
func TestANodeThatCatchesUpAnswersLoading(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	c.start("a", "--http=127.0.0.1:0")
	a := harness.Use(t, c.running["a"].Dial())
	a.Send("HELLO 3\r\n")
	_, err := a.Frame()
	require.NoError(t, err)
	for _, command := range []string{"PING", "XADD s * a b", "PUBLISH t x", "SUBSCRIBE t", "XRANGE s - +", "ACL SETUSER tom", "CONFIG SET durable x", "NODE ADD d h:1", "MULTI"} {
		a.Command(strings.Fields(command)...)
		a.Expect("-" + loading + "\r\n")
	}
	a.Send("PUB t x\nSUB t\n")
	a.Expect(loading + "\n" + loading + "\n")
	c2 := harness.Use(t, c.running["a"].Dial())
	for command, want := range map[string]string{
		"INFO replication": "\r\nnode_state:catching-up\r\n",
		"INFO persistence": "\r\nloading:1\r\n", // ioredis is not ready before 0
		"NODE STATUS":      "catching-up",
	} {
		c2.Command(strings.Fields(command)...)
		frame, err := c2.Frame()
		require.NoError(t, err)
		assert.Contains(t, string(frame), want, command)
	}

	web := "http://" + c.running["a"].First["http"].(string)
	for path, want := range map[string]int{"/readyz": 503, "/topics": 503, "/session": 503, "/healthz": 200, "/metrics": 200, "/": 200} {
		status, header, body := get(t, web+path)
		assert.Equal(t, want, status, path)
		if want == http.StatusServiceUnavailable {
			assert.Equal(t, "1", header.Get("Retry-After"), path)
			assert.Contains(t, body, `"code":"LOADING"`)
		}
	}

	c.start("b")
	c.running["a"].Log.Await(t, "this node has caught up with the cluster", 1)
	a.Command("PING")
	a.Expect("+PONG\r\n")
	a.Command("XADD", "s", "1-1", "a", "b")
	a.Expect("$3\r\n1-1\r\n")
	a.Command("INFO", "persistence")
	frame, err := a.Frame()
	require.NoError(t, err)
	assert.Contains(t, string(frame), "\r\nloading:0\r\n")
	status, header, _ := get(t, web+"/readyz")
	assert.Equal(t, http.StatusOK, status)
	assert.Empty(t, header.Get("Retry-After"))
}

func get(t *testing.T, url string) (status int, header http.Header, body string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	r, err := (&http.Client{Transport: transport}).Get(url)
	require.NoError(t, err)
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, r.Header, string(text)
}

// SHUTDOWN ends a node that waits for the others.
func TestANodeThatCatchesUpIsStopped(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	c.start("a")
	a := harness.Use(t, c.running["a"].Dial())
	a.Command("SHUTDOWN")
	require.NoError(t, c.running["a"].wait())
}

// A client that came before the users of the cluster did has no rights of theirs.
func TestAClientOfANodeBeforeItsUsers(t *testing.T) {
	c := newCluster(t, "a", "b")
	addresses := c.names
	c.names = []string{"a"}
	c.start("a", "--requirepass=secret")
	a := c.dial("a")
	a.Command("AUTH", "secret")
	a.Expect("+OK\r\n")
	c.names = addresses
	c.running["b"] = start(t, "--dir="+c.dirs["b"], "--cluster-name=b", "--cluster-listen="+c.addresses["b"], "--cluster-election=2s", "--cluster-timeout=1m")
	b := harness.Use(t, c.running["b"].Dial())
	b.Command("CLIENT", "SETNAME", "early")
	b.Expect("+OK\r\n")
	a.Command("NODE", "ADD", "b", c.addresses["b"])
	a.Expect("+OK\r\n")
	c.running["b"].Log.Await(t, "this node has caught up with the cluster", 1)
	b.Send("PUBLISH t x\r\n")
	frame, _ := b.Frame() // an error is the end of the connection
	assert.NotEqual(t, ":0\r\n", string(frame))
	late := c.dial("b")
	late.Command("PUBLISH", "t", "x")
	late.Expect("-NOAUTH Authentication required.\r\n")
}

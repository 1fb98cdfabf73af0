//go:build connect

package connect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
)

// conch is a broker with a config file. Its addresses and its directory stay over restarts.
type conch struct {
	process
	t                   *testing.T
	address, web, state string
	file, head          string        // the config file, and what stands in it above the text of the test
	listening           chan struct{} // closed by the line of the log that tells the addresses
	client              *client.Client
}

// startConch runs conch with a config file: the text, and what each test needs. All topics named d.… are durable.
func startConch(t *testing.T, config string) *conch {
	t.Helper()
	c := newConch(t, config)
	c.restart()
	return c
}

// newConch is startConch without the start.
func newConch(t *testing.T, config string) *conch {
	t.Helper()
	c := &conch{t: t, state: t.TempDir()}
	c.address, _ = freeAddress(t)
	c.web, _ = freeAddress(t)
	c.file = filepath.Join(c.state, "conch.toml")
	c.head = fmt.Sprintf("listen = %q\nhttp = %q\ndir = %q\nfsync = \"always\"\ndurable = \"d.*\"\nlog-format = \"json\"\n", c.address, c.web, filepath.Join(c.state, "log"))
	c.configure(config)
	c.name, c.line = "conch", c.read
	c.command = func() *exec.Cmd { return exec.Command(binary, "serve", "--config", c.file) }
	t.Cleanup(c.kill)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.name + ":\n" + c.output.String())
		}
	})
	return c
}

func (c *conch) configure(config string) {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(c.file, []byte(c.head+config), 0o600))
}

// reload has conch read a changed config file: connectors that have changed start again.
func (c *conch) reload(config string) {
	c.t.Helper()
	c.configure(config)
	require.NoError(c.t, syscall.Kill(c.cmd.Process.Pid, syscall.SIGHUP))
}

// restart starts conch after a stop or a kill, and waits until it serves.
func (c *conch) restart() {
	c.t.Helper()
	c.listening = make(chan struct{})
	require.NoError(c.t, c.start())
	select {
	case <-c.listening:
	case <-c.exited:
		require.FailNow(c.t, "conch has ended", c.output.String())
	case <-time.After(patience):
		require.FailNow(c.t, "conch does not listen", c.output.String())
	}
}

func (c *conch) read(line string) {
	var entry struct{ Message string }
	if json.Unmarshal([]byte(line), &entry) == nil && entry.Message == "listening" {
		close(c.listening)
	}
}

// dial returns a client of conch, which reconnects.
func (c *conch) dial() *client.Client {
	c.t.Helper()
	if c.client == nil {
		var err error
		c.client, err = client.Dial(c.t.Context(), client.Options{Addr: c.address, MaxBackoff: time.Second})
		require.NoError(c.t, err)
		c.t.Cleanup(func() { _ = c.client.Close() })
	}
	return c.client
}

// publish publishes to a topic, in order, and returns how many subscriptions the last one was queued to.
func (c *conch) publish(topic string, payloads ...string) int {
	c.t.Helper()
	p, err := client.NewPublisher(c.t.Context(), client.Options{Addr: c.address}, client.PublisherOptions{})
	require.NoError(c.t, err)
	defer func() { _ = p.Close() }() // flushed
	var last client.MessageID
	for _, payload := range payloads {
		last, err = p.Publish(c.t.Context(), topic, []byte(payload))
		require.NoError(c.t, err)
	}
	published, err := p.Wait(c.t.Context(), last)
	require.NoError(c.t, err)
	return published.Receivers
}

// entries returns the payloads of a stream, in order.
func (c *conch) entries(stream string) (payloads []string) {
	c.t.Helper()
	for e, err := range c.dial().Range(c.t.Context(), stream, client.Span{}) {
		require.NoError(c.t, err)
		payloads = append(payloads, e.Get("message"))
	}
	return payloads
}

// awaitEntries waits until a stream has n different payloads, and returns all.
func (c *conch) awaitEntries(stream string, n int) (payloads []string) {
	c.t.Helper()
	eventually(c.t, func() bool {
		payloads = c.entries(stream)
		return len(distinct(payloads)) >= n
	}, fmt.Sprintf("%s has %d payloads", stream, n))
	return payloads
}

// subscribe collects what comes to a topic or a pattern until the test ends.
func (c *conch) subscribe(names ...client.Name) *received {
	c.t.Helper()
	r := &received{}
	sub, err := c.dial().Subscribe(c.t.Context(), names...)
	require.NoError(c.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range sub.Messages(context.Background()) {
			if err != nil {
				return
			}
			r.add(m.Topic, string(m.Payload))
		}
	}()
	c.t.Cleanup(func() { _ = sub.Close(); <-done })
	return r
}

// received are the messages that a subscriber got. Its lock is for the subscriber's goroutine and the test.
type received struct {
	mu       sync.Mutex
	payloads []string
	topics   map[string]int // messages by topic
}

func (r *received) add(topic, payload string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.topics == nil {
		r.topics = make(map[string]int)
	}
	r.payloads = append(r.payloads, payload)
	r.topics[topic]++
}

func (r *received) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.payloads...)
}

// await waits until n different payloads are there, and returns all.
func (r *received) await(t *testing.T, n int) []string {
	t.Helper()
	eventually(t, func() bool { return len(distinct(r.all())) >= n }, fmt.Sprintf("%d payloads arrive", n))
	return r.all()
}

func distinct(payloads []string) map[string]int {
	seen := make(map[string]int, len(payloads))
	for _, p := range payloads {
		seen[p]++
	}
	return seen
}

// account is what conch shows of a connector.
type account struct {
	Name, Direction, URL, State string
	LastError                   string `json:"last_error"`
	HeldBack                    int    `json:"held_back"`
	Taken, Published, Repeated  int    // Repeated are part of Published
	Looped                      int    // part of HeldBack
	Matched, Sent, Lost         int
	Pending, Dead, Lag          int
}

// balances holds for each connector at rest: what went in has an end.
func (a *account) balances() bool {
	if a.Direction == "source" {
		return a.Taken == a.Published+a.HeldBack+a.Dead
	}
	return a.Matched == a.Sent+a.Pending+a.Lost+a.Dead
}

// connector returns the account of a connector, which there is from the first request on.
func (c *conch) connector(name string) *account {
	c.t.Helper()
	a, err := c.lookAt(name)
	require.NoError(c.t, err)
	return a
}

// lookAt is connector for a conch that may not answer.
func (c *conch) lookAt(name string) (*account, error) {
	response, err := http.Get("http://" + c.web + "/connectors")
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	var list struct{ Connectors []*account }
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return nil, err
	}
	for _, a := range list.Connectors {
		if a.Name == name {
			return a, nil
		}
	}
	return nil, fmt.Errorf("there is no connector %s: %s", name, response.Status)
}

// awaitConnector waits until the account of a connector is as the test wants it.
func (c *conch) awaitConnector(name, what string, holds func(a *account) bool) (a *account) {
	c.t.Helper()
	defer func() {
		if c.t.Failed() {
			c.t.Logf("the account of %s: %+v", name, a)
		}
	}()
	eventually(c.t, func() bool { a = c.connector(name); return holds(a) }, name+": "+what)
	return a
}

// awaitRunning waits until connectors have connected.
func (c *conch) awaitRunning(names ...string) {
	c.t.Helper()
	for _, name := range names {
		c.awaitConnector(name, "runs", func(a *account) bool { return a.State == "running" })
	}
}

// awaitBalance waits until the account of a connector balances, with nothing pending.
func (c *conch) awaitBalance(name string) *account {
	c.t.Helper()
	return c.awaitConnector(name, "balances", func(a *account) bool { return a.balances() && a.Pending == 0 })
}

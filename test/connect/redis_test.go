//go:build connect

package connect

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
)

var redisServer = &server{process: process{name: "redis-server"}}

// startRedis runs the server in a directory of this run. What it has acknowledged survives its SIGKILL.
func startRedis(t *testing.T) {
	t.Helper()
	if redisServer.cmd != nil {
		return
	}
	dir := filepath.Join(root, "redis")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	var port string
	redisServer.address, port = freeAddress(t)
	redisServer.command = func() *exec.Cmd {
		return exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--requirepass", "pencil",
			"--appendonly", "yes", "--appendfsync", "always", "--save", "")
	}
	redisServer.use(t)
}

func redisURL(query string) string { return "redis://:pencil@" + redisServer.address + query }

func dialRedis(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Options{Addr: redisServer.address, Password: "pencil", MaxBackoff: time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

var redisNames int // made so far

func redisName() string {
	redisNames++
	return fmt.Sprintf("n%d", redisNames)
}

func TestRedisStreams(t *testing.T) {
	startRedis(t)
	play(t, redisSystem())
}

func redisSystem() *system {
	return &system{
		name: "redis", server: redisServer, keeps: true, crashes: true, once: true,
		denied: "redis://:" + secret + "@" + redisServer.address + "?stream=denied",
		open: func(*testing.T) lane {
			name := redisName()
			return lane{
				source: redisURL("?stream=" + name + "&group=g"), sink: redisURL("?stream=" + name), lacks: redisURL("?stream={field.missing}"),
				put:  func(t *testing.T, payloads ...string) { putRedis(t, name, payloads) },
				take: func(t *testing.T, n int) []string { return takeRedis(t, name, n) },
			}
		},
	}
}

func putRedis(t *testing.T, stream string, payloads []string) {
	t.Helper()
	c := dialRedis(t)
	eventually(t, func() bool { // it accepts connections while it reads its files
		for _, err := range c.Range(t.Context(), stream, client.Span{}) {
			return err == nil
		}
		return true
	}, "Redis has read its files")
	for len(payloads) > 0 {
		n := min(len(payloads), 500)
		var batch []client.Entry
		for _, p := range payloads[:n] {
			batch = append(batch, client.Entry{Stream: stream, Fields: []client.Field{{Name: "message", Value: p}}})
		}
		for _, appended := range c.AppendBatch(t.Context(), batch) {
			require.NoError(t, appended.Err)
		}
		payloads = payloads[n:]
	}
}

func takeRedis(t *testing.T, stream string, n int) (all []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := make(map[string]bool)
	for e, err := range dialRedis(t).Read(ctx, client.After(stream, client.EntryID{})) {
		require.NoError(t, err, "%d of %d entries of %s", len(seen), n, stream)
		all = append(all, e.Get("message"))
		if seen[e.Get("message")] = true; len(seen) == n {
			break
		}
	}
	return all
}

func TestRedisChannels(t *testing.T) {
	startRedis(t)
	play(t, &system{
		name: "redis", server: redisServer,
		denied: "redis://:" + secret + "@" + redisServer.address + "?channel=denied",
		open: func(t *testing.T) lane {
			name := redisName()
			got := &received{} // it is subscribed before the first message: Redis keeps none
			sub, err := dialRedis(t).Subscribe(t.Context(), client.Topic(name))
			require.NoError(t, err)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for m, err := range sub.Messages(context.Background()) {
					if err != nil {
						return
					}
					got.add(m.Topic, string(m.Payload))
				}
			}()
			t.Cleanup(func() { _ = sub.Close(); <-done })
			return lane{
				source: redisURL("?channel=" + name), sink: redisURL("?channel=" + name), lacks: redisURL("?channel={field.missing}"),
				put:  func(t *testing.T, payloads ...string) { publishRedis(t, name, payloads) },
				take: func(t *testing.T, n int) []string { return got.await(t, n) },
			}
		},
	})
}

func publishRedis(t *testing.T, channel string, payloads []string) {
	t.Helper()
	p, err := client.NewPublisher(t.Context(), client.Options{Addr: redisServer.address, Password: "pencil"}, client.PublisherOptions{})
	require.NoError(t, err)
	for _, payload := range payloads {
		_, err := p.Publish(t.Context(), channel, []byte(payload))
		require.NoError(t, err)
	}
	require.NoError(t, p.Flush(t.Context()))
	require.NoError(t, p.Close())
}

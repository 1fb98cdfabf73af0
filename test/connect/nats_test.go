//go:build connect

package connect

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

var natsServer = &server{process: process{name: "nats-server"}}

// startNATS runs the server, with JetStream in a directory of this run.
func startNATS(t *testing.T) {
	t.Helper()
	if natsServer.cmd != nil {
		return
	}
	var port string
	natsServer.address, port = freeAddress(t)
	natsServer.command = func() *exec.Cmd {
		return exec.Command("nats-server", "-a", "127.0.0.1", "-p", port, "-js", "-sd", filepath.Join(root, "nats"), "--user", "ann", "--pass", "pencil")
	}
	natsServer.use(t)
}

func natsURL(query string) string { return "nats://ann:pencil@" + natsServer.address + query }

func dialNATS(t *testing.T) *nats.Conn {
	t.Helper()
	c, err := nats.Connect(natsURL(""), nats.Timeout(patience), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func jetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(dialNATS(t), jetstream.WithDefaultTimeout(patience))
	require.NoError(t, err)
	return js
}

var natsNames int // made so far

func natsName() string {
	natsNames++
	return fmt.Sprintf("n%d", natsNames)
}

func TestJetStream(t *testing.T) {
	startNATS(t)
	play(t, jetStreamSystem())
}

func jetStreamSystem() *system {
	return &system{
		name: "nats", server: natsServer, keeps: true, crashes: true, once: true,
		denied: "nats://ann:" + secret + "@" + natsServer.address + "?stream=denied",
		open: func(t *testing.T) lane {
			name := natsName()
			_, err := jetStream(t).CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}})
			require.NoError(t, err)
			return lane{
				source: natsURL("?durable=D&stream=" + name), sink: natsURL("?stream=" + name + "&subject=" + name + ".{topic}"),
				lacks: natsURL("?stream=" + name + "&subject=" + name + ".{field.missing}"),
				put:   func(t *testing.T, payloads ...string) { putJetStream(t, name+".put", payloads) },
				take:  func(t *testing.T, n int) []string { return takeJetStream(t, name, n) },
			}
		},
	}
}

func putJetStream(t *testing.T, subject string, payloads []string) {
	t.Helper()
	js := jetStream(t)
	eventually(t, func() bool { // the server accepts connections before it has all streams
		_, err := js.StreamNameBySubject(t.Context(), subject)
		return err == nil
	}, "a stream has the subject "+subject)
	for len(payloads) > 0 {
		n := min(len(payloads), 500)
		var all []jetstream.PubAckFuture
		for _, p := range payloads[:n] {
			f, err := js.PublishAsync(subject, []byte(p))
			require.NoError(t, err)
			all = append(all, f)
		}
		for _, f := range all {
			select {
			case <-f.Ok():
			case err := <-f.Err():
				require.NoError(t, err)
			}
		}
		payloads = payloads[n:]
	}
}

func takeJetStream(t *testing.T, stream string, n int) (all []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	consumer, err := jetStream(t).OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	messages, err := consumer.Messages()
	require.NoError(t, err)
	defer messages.Stop()
	seen := make(map[string]bool)
	for len(seen) < n {
		m, err := messages.Next(jetstream.NextContext(ctx))
		require.NoError(t, err, "%d of %d messages of %s", len(seen), n, stream)
		all = append(all, string(m.Data()))
		seen[string(m.Data())] = true
	}
	return all
}

func TestNATSSubjects(t *testing.T) {
	startNATS(t)
	play(t, &system{
		name: "nats", server: natsServer,
		denied: "nats://ann:" + secret + "@" + natsServer.address + "?subject=denied",
		open: func(t *testing.T) lane {
			name := natsName()
			got := &received{} // it is subscribed before the first message: NATS keeps none
			c := dialNATS(t)
			sub, err := c.Subscribe(name+".>", func(m *nats.Msg) { got.add(m.Subject, string(m.Data)) })
			require.NoError(t, err)
			require.NoError(t, sub.SetPendingLimits(-1, -1))
			require.NoError(t, c.FlushTimeout(patience))
			return lane{
				source: natsURL("?subject=" + name + ".>"), sink: natsURL("?subject=" + name + ".{topic}"), lacks: natsURL("?subject=" + name + ".{field.missing}"),
				put:  func(t *testing.T, payloads ...string) { putNATS(t, name+".put", payloads) },
				take: func(t *testing.T, n int) []string { return got.await(t, n) },
			}
		},
	})
}

func putNATS(t *testing.T, subject string, payloads []string) {
	t.Helper()
	c := dialNATS(t)
	for _, p := range payloads {
		require.NoError(t, c.Publish(subject, []byte(p)))
	}
	require.NoError(t, c.FlushTimeout(patience))
}

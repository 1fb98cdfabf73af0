//go:build connect

package connect

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/harness"
)

// largeSize is the size of payloads that are hundreds of times what conch takes, and larges their number.
const largeSize, larges = 100 << 20, 10

// Bounds of the resident memory of conch. Most libraries read a message whole, some in two copies, and Go's heap grows to twice that. The
// source of MQTT cuts payloads in front of its library.
const maxPeak, maxPeakClipped = 800 << 20, 200 << 20

// largeCase is a server that takes such payloads, with one source that gets them.
type largeCase struct {
	name, from string
	peak       int
	waits      bool // what is put is there when conch starts
	put        func(t *testing.T, payload []byte)
}

// TestLargeMessages has peers send payloads of 100 MiB: each is counted as dead, those between them arrive, no connection ends, and the
// memory of conch stays bounded.
func TestLargeMessages(t *testing.T) {
	for _, topic := range []string{"p.in", "d.in"} {
		for _, prepare := range []func(*testing.T, string) []largeCase{largeRedis, largeNATS, largeMosquitto} {
			for _, l := range prepare(t, topic) {
				t.Run(l.name+" to "+topic, func(t *testing.T) { playLarge(t, l, topic) })
			}
		}
	}
}

func playLarge(t *testing.T, l largeCase, topic string) {
	put := func() {
		large := make([]byte, largeSize)
		for i := range larges {
			l.put(t, fmt.Append(nil, i))
			l.put(t, large)
		}
		l.put(t, []byte("last"))
	}
	if l.waits {
		put()
	}
	c := startConch(t, sourceTable("in", l.from, topic))
	if !l.waits {
		c.awaitRunning("in")
		put()
	}
	a := c.awaitConnector("in", "has taken all", func(a *account) bool { return a.Taken >= 2*larges+1 && a.Pending == 0 })
	assert.Equal(t, []int{2*larges + 1, larges + 1, larges}, []int{a.Taken, a.Published, a.Dead})
	assert.Empty(t, a.LastError)
	peak := harness.PeakMemory(t, c.cmd.Process.Pid)
	t.Logf("at most %d MiB were resident", peak>>20)
	assert.Less(t, peak, l.peak)
}

// startLarge runs a server until the test ends, with a directory of its own.
func startLarge(t *testing.T, command func(dir, port string) *exec.Cmd) (address string) {
	t.Helper()
	s := &server{}
	var port string
	s.address, port = freeAddress(t)
	dir := filepath.Join(root, "large"+port)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	s.command = func() *exec.Cmd { return command(dir, port) }
	s.name = filepath.Base(s.command().Path)
	s.use(t)
	t.Cleanup(s.kill)
	return s.address
}

func largeRedis(t *testing.T, topic string) []largeCase {
	address := startLarge(t, func(dir, port string) *exec.Cmd {
		return exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--client-output-buffer-limit", "pubsub 0 0 0")
	})
	c, err := client.Dial(t.Context(), client.Options{Addr: address})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return []largeCase{
		{"a channel of Redis", "redis://" + address + "?channel=c", maxPeak, false, func(t *testing.T, payload []byte) {
			_, err := c.Publish(t.Context(), "c", payload)
			require.NoError(t, err)
		}},
		{"a stream of Redis", "redis://" + address + "?stream=" + topic + "&group=g", maxPeak, true, func(t *testing.T, payload []byte) {
			_, err := c.Append(t.Context(), topic, []client.Field{{Name: "message", Value: string(payload)}})
			require.NoError(t, err)
		}},
	}
}

func largeNATS(t *testing.T, topic string) []largeCase {
	address := startLarge(t, func(dir, port string) *exec.Cmd {
		file := filepath.Join(dir, "nats.conf")
		text := "listen: 127.0.0.1:" + port + "\nmax_payload: 128MB\nmax_pending: 1GB\nwrite_deadline: \"1h\"\njetstream { store_dir: " + dir + " }\n"
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return exec.Command("nats-server", "-c", file)
	})
	c, err := nats.Connect("nats://"+address, nats.Timeout(patience))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	js, err := jetstream.New(c, jetstream.WithDefaultTimeout(patience))
	require.NoError(t, err)
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: topic[:1], Subjects: []string{topic}, Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	_, err = stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "D", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour})
	require.NoError(t, err) // conch's own repeats what is not acknowledged within 30 s, in which a GiB is not read everywhere
	return []largeCase{
		{"a subject of NATS", "nats://" + address + "?subject=c", maxPeak, false, func(t *testing.T, payload []byte) {
			require.NoError(t, c.Publish("c", payload))
			require.NoError(t, c.FlushTimeout(patience))
		}},
		{"a stream of NATS", "nats://" + address + "?stream=" + topic[:1] + "&durable=D", maxPeak, true, func(t *testing.T, payload []byte) {
			_, err := js.Publish(t.Context(), topic, payload)
			require.NoError(t, err)
		}},
	}
}

func largeMosquitto(t *testing.T, _ string) []largeCase {
	address := startLarge(t, func(dir, port string) *exec.Cmd {
		file := filepath.Join(dir, "mosquitto.conf")
		text := "listener " + port + " 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\n"
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return exec.Command("mosquitto", "-c", file)
	})
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	c := paho.NewClient(paho.ClientConfig{Conn: conn, PacketTimeout: patience})
	_, err = c.Connect(context.Background(), &paho.Connect{ClientID: "writer", KeepAlive: 60, CleanStart: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) }) // the server ends with the test
	return []largeCase{{"a topic of MQTT", "mqtt://" + address + "?topic=t", maxPeakClipped, false, func(t *testing.T, payload []byte) {
		_, err := c.Publish(t.Context(), &paho.Publish{Topic: "t", QoS: 1, Payload: payload})
		require.NoError(t, err)
	}}}
}

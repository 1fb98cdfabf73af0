//go:build connect

package connect

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/rabbitmq"
)

var rabbit = &server{process: process{name: "rabbitmq-server"}}

// epmd is the directory of Erlang's nodes, which RabbitMQ needs: one of its own, so that none outlives the test.
var epmd = &server{process: process{name: "epmd"}}

// startRabbit runs the server without its plugins, in a directory of this run.
func startRabbit(t *testing.T) {
	t.Helper()
	if rabbit.cmd != nil {
		return
	}
	dir := filepath.Join(root, "rabbitmq")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	var port, distribution, names string
	rabbit.address, port = freeAddress(t)
	_, distribution = freeAddress(t)
	epmd.address, names = freeAddress(t)
	files := map[string]string{"plugins": "[].\n", "rabbitmq.conf": "listeners.tcp.1 = " + rabbit.address + "\nmax_message_size = 200000\n"}
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	epmd.command = func() *exec.Cmd { return exec.Command("epmd", "-port", names, "-address", "127.0.0.1") }
	epmd.use(t)
	rabbit.command = func() *exec.Cmd {
		cmd := exec.Command(rabbitBinary(t))
		cmd.Env = append(os.Environ(),
			"HOME="+dir, "ERL_EPMD_PORT="+names, "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_DIST_PORT="+distribution, "RABBITMQ_NODENAME=conch@localhost",
			"RABBITMQ_NODE_PORT="+port, "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_CONFIG_FILE="+dir+"/rabbitmq.conf", "RABBITMQ_LOGS=-",
			"RABBITMQ_MNESIA_BASE="+dir+"/mnesia", "RABBITMQ_LOG_BASE="+dir+"/log", "RABBITMQ_ENABLED_PLUGINS_FILE="+dir+"/plugins")
		return cmd
	}
	rabbit.use(t)
}

// rabbitBinary is the server itself: the program of the path would change the user, and leave the environment behind.
func rabbitBinary(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
	require.NoError(t, err)
	require.NotEmpty(t, found, "install rabbitmq-server")
	return found[0]
}

// rabbitChannel connects.
func rabbitChannel(t *testing.T) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial("amqp://guest:guest@" + rabbit.address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // the server may have ended it
	channel, err := conn.Channel()
	require.NoError(t, err)
	return channel
}

var queues int // made so far, for their names

// rabbitQueue makes a queue that survives the server. What it rejects goes to a second one, of this name and -dead.
func rabbitQueue(t *testing.T) string {
	t.Helper()
	queues++
	name := fmt.Sprint("q", queues)
	channel := rabbitChannel(t)
	_, err := channel.QueueDeclare(name, true, false, false, false, amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name + "-dead"})
	require.NoError(t, err)
	_, err = channel.QueueDeclare(name+"-dead", true, false, false, false, nil)
	require.NoError(t, err)
	return name
}

func putRabbit(t *testing.T, queue string, payloads ...string) {
	t.Helper()
	channel := rabbitChannel(t)
	require.NoError(t, channel.Confirm(false))
	var confirmed []*amqp.DeferredConfirmation
	for _, p := range payloads {
		// The payload is unique, and so is a part of it.
		message := amqp.Publishing{Body: []byte(p), DeliveryMode: amqp.Persistent, MessageId: p[:min(len(p), 60)]}
		c, err := channel.PublishWithDeferredConfirm("", queue, false, false, message)
		require.NoError(t, err)
		confirmed = append(confirmed, c)
	}
	for _, c := range confirmed {
		require.True(t, c.Wait())
	}
}

func takeRabbit(t *testing.T, queue string, n int) (all []string) {
	t.Helper()
	channel := rabbitChannel(t)
	deliveries, err := channel.Consume(queue, "", true, false, false, false, nil)
	require.NoError(t, err)
	seen := make(map[string]int)
	for len(seen) < n {
		payload := next(t, deliveries, fmt.Sprintf("%d of %d messages of %s", len(seen), n, queue))
		all = append(all, string(payload.Body))
		seen[string(payload.Body)]++
	}
	return all
}

func TestRabbitMQ(t *testing.T) {
	startRabbit(t)
	at := "guest:guest@" + rabbit.address + "/"
	play(t, &system{
		name: "rabbitmq", server: rabbit, keeps: true, crashes: true, once: true,
		denied: "amqp://guest:" + secret + "@" + rabbit.address + "/?queue=none",
		open: func(t *testing.T) lane {
			queue := rabbitQueue(t)
			return lane{
				source: "amqp://" + at + "?queue=" + queue,
				sink:   "amqp://" + at + "?queue=" + queue,
				lacks:  "amqp://" + at + "?exchange=amq.topic&unrouted=true&key=x.{field.missing}",
				put:    func(t *testing.T, payloads ...string) { t.Helper(); putRabbit(t, queue, payloads...) },
				take:   func(t *testing.T, n int) []string { t.Helper(); return takeRabbit(t, queue, n) },
			}
		},
	})
}

// The driver alone: what only RabbitMQ has.
func TestRabbitMQDriver(t *testing.T) {
	startRabbit(t)
	t.Run("a message that conch never takes goes to the dead letters of its queue", func(t *testing.T) {
		queue := rabbitQueue(t)
		s := openSource(t, rabbitmq.System, "amqp://guest:guest@"+rabbit.address+"/?queue="+queue, connect.Start{})
		putRabbit(t, queue, "a", "b", "c")
		messages, ack := readAll(t, s, 3)
		assert.Equal(t, map[string]string{"queue": queue, "exchange": "", "routing_key": queue}, messages[1].Meta)
		assert.Equal(t, "b", messages[1].ID)
		ack(&connect.Refused{Indices: []int{1, 2}})
		assert.Equal(t, []string{"b", "c"}, takeRabbit(t, queue+"-dead", 2))
		require.NoError(t, s.Close(t.Context()))
		q, err := rabbitChannel(t).QueueDeclarePassive(queue, true, false, false, false, nil)
		require.NoError(t, err)
		assert.Zero(t, q.Messages, "all are acknowledged or rejected")
	})
	t.Run("headers and properties, both ways", func(t *testing.T) {
		queue := rabbitQueue(t)
		url := "amqp://guest:guest@" + rabbit.address + "/?queue=" + queue
		headers := []connect.Header{{Name: "content-type", Value: "text/plain"}, {Name: "correlation-id", Value: "17"}, {Name: "region", Value: "eu"}}
		require.NoError(t, openSink(t, rabbitmq.System, url).Write(t.Context(), []connect.Message{{Payload: []byte("x"), ID: "e-1", Headers: headers}}))
		messages, ack := readAll(t, openSource(t, rabbitmq.System, url, connect.Start{}), 1)
		ack(nil)
		assert.Equal(t, headers, messages[0].Headers)
		assert.Equal(t, "e-1", messages[0].ID)
	})
	t.Run("messages that no queue takes, and one over max_message_size, are refused; the others arrive", func(t *testing.T) {
		queue := rabbitQueue(t)
		require.NoError(t, rabbitChannel(t).QueueBind(queue, "some", "amq.direct", false, nil))
		s := openSink(t, rabbitmq.System, "amqp://guest:guest@"+rabbit.address+"/?exchange=amq.direct&key={topic}")
		batch := []connect.Message{{Topic: "some", ID: "1", Payload: []byte("1")}, {Topic: "none", ID: "2"}, {Topic: "some", ID: "3", Payload: make([]byte, 300_000)}, {Topic: "some", ID: "4", Payload: []byte("4")}}
		var refused *connect.Refused
		require.ErrorAs(t, s.Write(t.Context(), batch), &refused)
		assert.Equal(t, []int{1, 2}, refused.Indices)
		assert.ErrorContains(t, refused, `no queue takes messages of exchange "amq.direct" with the key "none"`)
		require.NoError(t, s.Write(t.Context(), []connect.Message{{Topic: "some", ID: "5", Payload: []byte("5")}}), "the sink goes on")
		takeRabbit(t, queue, 3)
	})
	t.Run("what trying again does not change", func(t *testing.T) {
		for _, query := range []string{"guest:guest@" + rabbit.address + "/?queue=absent", "guest:guest@" + rabbit.address + "/nowhere?queue=q", "guest:no@" + rabbit.address + "/?queue=q"} {
			var permanent *connect.Permanent
			assert.ErrorAs(t, makeSource(t, rabbitmq.System, "amqp://"+query).Connect(t.Context(), connect.Start{}), &permanent, query)
		}
		var permanent *connect.Permanent
		assert.ErrorAs(t, makeSink(t, rabbitmq.System, "amqp://guest:guest@"+rabbit.address+"/?exchange=absent").Connect(t.Context()), &permanent)
		err := makeSource(t, rabbitmq.System, "amqp://guest:guest@127.0.0.1:1/?queue=q").Connect(t.Context(), connect.Start{})
		assert.False(t, isPermanent(err), "a server that is not there may come")
		var netError net.Error
		assert.ErrorAs(t, err, &netError)
	})
	t.Run("a queue that is deleted ends the source", func(t *testing.T) {
		queue := rabbitQueue(t)
		s := openSource(t, rabbitmq.System, "amqp://guest:guest@"+rabbit.address+"/?queue="+queue, connect.Start{})
		_, err := rabbitChannel(t).QueueDelete(queue, false, false, false)
		require.NoError(t, err)
		_, err = s.Read(t.Context())
		assert.ErrorContains(t, err, "the queue was deleted")
	})
}

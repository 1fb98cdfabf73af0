//go:build connect

package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/mqtt"
)

var mosquitto = &server{process: process{name: "mosquitto"}}

// startMosquitto runs the server in a directory of this run. It writes its sessions when it ends in good order.
func startMosquitto(t *testing.T) {
	t.Helper()
	if mosquitto.cmd != nil {
		return
	}
	dir := filepath.Join(root, "mosquitto")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	passwords, config := filepath.Join(dir, "passwords"), filepath.Join(dir, "mosquitto.conf")
	out, err := exec.Command("mosquitto_passwd", "-b", "-c", passwords, "ann", "pencil").CombinedOutput()
	require.NoError(t, err, string(out))
	var port string
	mosquitto.address, port = freeAddress(t)
	text := []string{
		"listener " + port + " 127.0.0.1", "password_file " + passwords, "user root", "persistence true", "persistence_location " + dir + "/",
		"max_queued_messages 0", "set_tcp_nodelay true", "message_size_limit 200000", // it is not announced,
	}
	require.NoError(t, os.WriteFile(config, []byte(strings.Join(text, "\n")+"\n"), 0o600))
	mosquitto.command = func() *exec.Cmd { return exec.Command("mosquitto", "-c", config) }
	mosquitto.use(t)
}

// dialMosquitto connects with a session that stays, and passes on what comes to it.
func dialMosquitto(t *testing.T, id string, received func(*paho.Publish)) *paho.Client {
	t.Helper()
	conn, err := net.Dial("tcp", mosquitto.address)
	require.NoError(t, err)
	c := paho.NewClient(paho.ClientConfig{Conn: conn, PacketTimeout: patience, OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
		received(p.Packet)
		return true, nil
	}}})
	hour := uint32(3600)
	_, err = c.Connect(t.Context(), &paho.Connect{
		ClientID: id, KeepAlive: 60, Username: "ann", UsernameFlag: true, Password: []byte("pencil"), PasswordFlag: true,
		Properties: &paho.ConnectProperties{SessionExpiryInterval: &hour},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) }) // some have done it
	return c
}

var topics int // made so far, for their names

// mqttTopic makes a topic, and a session that keeps what comes to it.
func mqttTopic(t *testing.T) string {
	t.Helper()
	topics++
	topic := fmt.Sprintf("test/t%d", topics)
	c := dialMosquitto(t, "reader of "+topic, func(*paho.Publish) {})
	_, err := c.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 1}}})
	require.NoError(t, err)
	require.NoError(t, c.Disconnect(&paho.Disconnect{}))
	return topic
}

func putMosquitto(t *testing.T, topic string, payloads ...string) {
	t.Helper()
	c := dialMosquitto(t, "writer of "+topic, func(*paho.Publish) {})
	for _, p := range payloads {
		_, err := c.Publish(t.Context(), &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(p)})
		require.NoError(t, err)
	}
	require.NoError(t, c.Disconnect(&paho.Disconnect{}))
}

func takeMosquitto(t *testing.T, topic string, n int) (all []string) {
	t.Helper()
	got := make(chan string, 2*many)
	c := dialMosquitto(t, "reader of "+topic, func(p *paho.Publish) { got <- string(p.Payload) })
	seen := make(map[string]int)
	for len(seen) < n {
		payload := next(t, got, fmt.Sprintf("%d of %d messages of %s", len(seen), n, topic))
		all = append(all, payload)
		seen[payload]++
	}
	require.NoError(t, c.Disconnect(&paho.Disconnect{}))
	return all
}

func mqttURL(query string) string { return "mqtt://ann:pencil@" + mosquitto.address + query }

func TestMQTT(t *testing.T) {
	startMosquitto(t)
	play(t, &system{
		name: "mqtt", server: mosquitto, keeps: true,
		denied: "mqtt://ann:" + secret + "@" + mosquitto.address + "?topic=none",
		open: func(t *testing.T) lane {
			topic := mqttTopic(t)
			return lane{
				source: mqttURL("?topic=" + topic),
				sink:   mqttURL("?topic=" + topic),
				lacks:  mqttURL("?topic=x/{field.missing}"),
				put:    func(t *testing.T, payloads ...string) { t.Helper(); putMosquitto(t, topic, payloads...) },
				take:   func(t *testing.T, n int) []string { t.Helper(); return takeMosquitto(t, topic, n) },
			}
		},
	})
}

// The driver alone: what only MQTT has.
func TestMQTTDriver(t *testing.T) {
	startMosquitto(t)
	for qos := range 3 {
		t.Run(fmt.Sprintf("ten thousand messages each way, qos %d", qos), func(t *testing.T) {
			topic := mqttTopic(t)
			source := openSource(t, mqtt.System, mqttURL(fmt.Sprintf("?topic=%s&qos=%d", topic, qos)), connect.Start{})
			sink := openSink(t, mqtt.System, mqttURL(fmt.Sprintf("?topic=%s&qos=%d", topic, qos)))
			want := numbered("qos", many)
			done := make(chan error, 1)
			go func() {
				for first := 0; first < many; first += 100 {
					var batch []connect.Message
					for _, p := range want[first : first+100] {
						batch = append(batch, connect.Message{Payload: []byte(p)})
					}
					if err := sink.Write(context.Background(), batch); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
			var got []string
			for len(got) < many {
				messages, ack := readAll(t, source, 1)
				ack(nil)
				for _, m := range messages {
					got = append(got, string(m.Payload))
				}
			}
			require.NoError(t, next(t, done, "the sink"))
			assertOrder(t, want, got)
		})
	}
	t.Run("what is not acknowledged comes again, in a session that the server keeps", func(t *testing.T) {
		topic := mqttTopic(t)
		source := makeSource(t, mqtt.System, mqttURL("?topic="+topic))
		require.NoError(t, source.Connect(t.Context(), connect.Start{}))
		putMosquitto(t, topic, "a", "b", "c")
		batch, err := source.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, "a", string(batch.Messages[0].Payload))
		n := len(batch.Messages)
		require.NoError(t, batch.Ack(t.Context(), nil))
		require.NoError(t, source.Close(t.Context()))
		putMosquitto(t, topic, "d")
		require.NoError(t, source.Connect(t.Context(), connect.Start{}))
		messages, _ := readAll(t, source, 4-n)
		assert.Equal(t, "d", string(messages[3-n].Payload))
		require.NoError(t, source.Close(t.Context()))
	})
	t.Run("headers, properties, levels of the topic, shared subscriptions", func(t *testing.T) {
		source := openSource(t, mqtt.System, mqttURL("?topic=house/+/temp&group=g"), connect.Start{})
		sink := openSink(t, mqtt.System, mqttURL("?topic=house/{field.room}/temp"))
		headers := []connect.Header{{Name: "content-type", Value: "application/json"}, {Name: "reply-to", Value: "back"}, {Name: "a", Value: "1"}, {Name: "a", Value: "2"}}
		require.NoError(t, sink.Write(t.Context(), []connect.Message{{Payload: []byte(`{"room":"kitchen"}`), Headers: headers}}))
		messages, ack := readAll(t, source, 1)
		ack(nil)
		assert.Equal(t, headers, messages[0].Headers)
		assert.Equal(t, map[string]string{"topic": "house/kitchen/temp", "level1": "house", "level2": "kitchen", "level3": "temp"}, messages[0].Meta)
	})
	t.Run("topics that are none and messages that are too large are refused, and the others arrive", func(t *testing.T) {
		topic := mqttTopic(t)
		sink := openSink(t, mqtt.System, mqttURL("?topic={topic}"))
		batch := []connect.Message{
			{ID: "1", Topic: "a/+/b"}, {ID: "2", Topic: topic, Payload: []byte("one")}, {ID: "3", Topic: topic, Payload: make([]byte, 300_000)},
			{ID: "4", Topic: topic, Payload: []byte("two")},
		}
		var refused *connect.Refused
		for !errors.As(sink.Write(t.Context(), batch), &refused) { // the connection ends over the third one
			require.NoError(t, sink.Close(t.Context()))
			require.NoError(t, sink.Connect(t.Context()))
		}
		assert.Equal(t, []int{0, 2}, refused.Indices, "%v", refused.Err)
		require.NoError(t, sink.Write(t.Context(), []connect.Message{{ID: "5", Topic: topic, Payload: []byte("three")}}))
		all := takeMosquitto(t, topic, 3)
		assert.Equal(t, "three", all[len(all)-1])
	})
	t.Run("a wrong password, a client of the same id", func(t *testing.T) {
		err := makeSource(t, mqtt.System, "mqtt://ann:"+secret+"@"+mosquitto.address+"?topic=a").Connect(t.Context(), connect.Start{})
		assert.True(t, isPermanent(err), "%v", err)
		assert.ErrorContains(t, err, "not authorized")
		first := openSource(t, mqtt.System, mqttURL("?topic=a&client-id=same"), connect.Start{})
		openSource(t, mqtt.System, mqttURL("?topic=a&client-id=same"), connect.Start{})
		_, err = first.Read(t.Context())
		assert.ErrorContains(t, err, "same id")
	})
}

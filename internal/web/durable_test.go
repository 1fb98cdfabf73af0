package web_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// Headers of a message are fields of the entry, and an Idempotency-Key publishes it once. A plain topic keeps neither, and refuses them.
func TestHeadersOfDurableTopics(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	c.Command("CONFIG", "SET", "durable", "orders.*")
	c.Expect("+OK\r\n")
	c.Send("SUB orders.new WHERE header(\"region\") == \"eu\"\nSUB orders.new\n")
	c.Expect("OK SUB orders.new WHERE header(\"region\") == \"eu\"\nOK SUB orders.new\n")
	post := func(topic, body string, headers ...string) answer {
		var options []option
		for i := 0; i < len(headers); i += 2 {
			options = append(options, header(headers[i], headers[i+1]))
		}
		return s.request("POST", "/topics/"+topic, body, options...)
	}
	first := post("orders.new", "one", "Conch-Header-Region", "eu", "Idempotency-Key", "k1")
	assert.Equal(t, http.StatusOK, first.StatusCode)
	again := post("orders.new", "one", "Conch-Header-Region", "eu", "Idempotency-Key", "k1")
	assert.Equal(t, first.body, again.body, "it is the same entry")
	c.Expect("UPDATE orders.new one\nUPDATE orders.new one\n")
	assert.Equal(t, http.StatusOK, post("orders.new", "two", "Conch-Header-Region", "us").StatusCode)
	assert.Equal(t, http.StatusOK, post("orders.new", "three").StatusCode)
	c.Expect("UPDATE orders.new two\nUPDATE orders.new three\n")
	c.Send("XLEN orders.new\r\n")
	c.Expect(":3\r\n")
	for _, headers := range [][]string{{"Conch-Header-Region", "eu"}, {"Idempotency-Key", "k"}} {
		s.expectProblem(post("plain", "x", headers...), http.StatusBadRequest)
		s.expectProblem(post("orders.new", `{"payload":"x"}`, append(headers, "Content-Type", "application/x-ndjson")...), http.StatusBadRequest)
	}
	c.Send("EXISTS plain\r\n")
	c.Expect(":0\r\n")
}

// A client that reads JSON gets the headers of an entry, live as in a replay.
func TestHeadersInJSON(t *testing.T) {
	both(t, server.Options{}, func(t *testing.T, s *site) {
		c := s.Dial(t)
		c.Command("CONFIG", "SET", "durable", "orders.*")
		c.Expect("+OK\r\n")
		large := strings.Repeat("x", 70_000)
		live := s.events("/topics/orders.*?pattern=1&format=json")
		for _, fields := range [][]string{
			{"message", "one", "region", "eu", "n", "1.50"}, {"message", "two"}, {"a", "b"}, {"message", "three", "h", large}, {"h", "i", "message", large},
		} {
			c.Command(append([]string{"XADD", "orders.new", "*"}, fields...)...)
			_, err := c.Frame()
			require.NoError(t, err)
		}
		past := s.stream("/topics/orders.*?pattern=1&format=json&from=0")
		for i, want := range []string{
			`"payload":"one","headers":{"region":"eu","n":1.50}`, `"payload":"two"`, `"payload":"{\"a\":\"b\"}"`,
			`"payload":"three","headers":{"h":"` + large + `"}`, `"payload":"` + large + `","headers":{"h":"i"}`,
		} {
			object := fmt.Sprintf(`{"event":"message","topic":"orders.new","pattern":"orders.*",%s,"epoch":"%s","sequence":%d}`, want, s.Service().Epoch(), i+1)
			live.expectMessage(object)
			past.expectMessage(object)
		}
		c.Command("XADD", "orders.new", "*", "message", "last", "region", "us")
		for _, e := range []*eventStream{live, past} {
			e.expectMessage(fmt.Sprintf(`{"event":"message","topic":"orders.new","pattern":"orders.*","payload":"last","headers":{"region":"us"},"epoch":"%s","sequence":6}`, s.Service().Epoch()))
		}
	})
}

// So does a WebSocket that speaks JSON, and the data of plain events is the message alone.
func TestHeadersOverAWebSocket(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	c.Command("CONFIG", "SET", "durable", "orders")
	c.Expect("+OK\r\n")
	plain, live := s.events("/topics/orders"), s.upgrade("conch.json")
	live.send(`{"op":"subscribe","topic":"orders","id":1}`)
	live.expect(`{"event":"subscribed","id":1,"name":"orders"}`)
	assert.Equal(t, http.StatusOK, s.request("POST", "/topics/orders", "hi", header("Conch-Header-Region", "eu")).StatusCode)
	object := fmt.Sprintf(`{"event":"message","topic":"orders","payload":"hi","headers":{"region":"eu"},"epoch":"%s","sequence":1}`, s.Service().Epoch())
	live.expect(object)
	plain.expectMessage("hi")
	past := s.upgrade("conch.json")
	past.send(`{"op":"subscribe","topic":"orders","from":"0","id":1}`)
	past.expect(`{"event":"subscribed","id":1,"name":"orders"}`, object)
}

// A stream that begins where a group stands goes on there, and the position is kept without ids of the client.
func TestAStreamGoesOnWhereAGroupStands(t *testing.T) {
	both(t, server.Options{}, func(t *testing.T, s *site) {
		c := s.Dial(t)
		c.Command("CONFIG", "SET", "durable", "orders")
		c.Expect("+OK\r\n")
		publish := func(text string) (receivers string) {
			c.Command("PUBLISH", "orders", text)
			return c.Line()
		}
		publish("before")
		e := s.events("/topics/orders?from=GROUP%20web")
		publish("one")
		e.expectMessage("one")
		harness.Eventually(t, func() bool {
			c.Command("CURSOR", "LIST")
			list, err := c.Frame()
			return err == nil && bytes.Contains(list, []byte(s.Service().Epoch()+"-2"))
		}, "the writer has noted that the kernel has the message")
		e.close()
		harness.Eventually(t, func() bool { return publish("two") == ":0" }, "the server knows of the end")
		s.stream("/topics/orders?from=GROUP%20web", header("Last-Event-ID", s.Service().Epoch()+"-1")).expectMessage("two")
		s.expectProblem(s.request("GET", "/topics/orders?from=GROUP%20a%20b", ""), http.StatusBadRequest)
	})
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	c.Command("CONFIG", "SET", "durable", "orders")
	c.Expect("+OK\r\n")
	w := s.upgrade("conch.json")
	w.send(`{"op":"subscribe","topic":"orders","from":"GROUP web","id":1}`)
	w.expect(`{"event":"subscribed","id":1,"name":"orders"}`)
}

// A stream and a WebSocket can start with the last message of each durable topic. One that comes back goes on where it was.
func TestTheLastOfEachTopic(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	c.Command("CONFIG", "SET", "durable", "d*")
	c.Expect("+OK\r\n")
	for _, topic := range []string{"d1", "d2", "d1", "d3", "d2"} {
		c.Command("PUBLISH", topic, topic)
		_, err := c.Frame()
		require.NoError(t, err)
	}
	message := func(topic string, number int) string {
		return fmt.Sprintf(`{"event":"message","topic":"%s","pattern":"d*","payload":"%s","epoch":"%s","sequence":%d}`, topic, topic, s.Service().Epoch(), number)
	}
	e := s.stream("/topics/d*?pattern=1&format=json&last=1&each=1")
	w := s.upgrade("conch.json")
	w.send(`{"op":"subscribe","pattern":"d*","last":1,"each":true,"id":1}`)
	w.expect(`{"event":"subscribed","id":1,"name":"d*"}`)
	for i, topic := range []string{"d1", "d3", "d2"} {
		e.expectMessage(message(topic, 3+i))
		w.expect(message(topic, 3+i))
	}
	w.send(`{"op":"subscribe","topic":"d1","last":2,"each":true,"id":2}`)
	w.expect(`{"event":"error","id":2,"code":"ERR","error":"each needs last, which must be 1"}`)
	again := s.stream("/topics/d*?pattern=1&format=json&last=1&each=1", header("Last-Event-ID", s.Service().Epoch()+"-4"))
	again.expectMessage(message("d2", 5))
}

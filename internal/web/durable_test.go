package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

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

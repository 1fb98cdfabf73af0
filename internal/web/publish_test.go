package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/protocol"
	"github.com/conchmq/conch/server"
)

func TestTheBodyOfAPostIsTheMessage(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	c.Send("SUB news\n")
	c.Expect("OK SUB news\n")
	a := s.request("POST", "/topics/news", "hello from a page")
	assert.Equal(t, http.StatusOK, a.StatusCode)
	assert.Equal(t, "application/json", a.Header.Get("Content-Type"))
	assert.JSONEq(t, fmt.Sprintf(`{"topic": "news", "receivers": 1, "epoch": %q, "sequence": 1}`, s.Service().Epoch()), a.body)
	c.Expect("UPDATE news hello from a page\n")
}

// A topic is one percent-encoded segment, and the path is not cleaned.
func TestAnyTopicIsASegment(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	for segment, topic := range map[string]string{
		"a%2Fb": "a/b", "a%20b": "a b", "%C3%A4": "ä", "a.b": "a.b", "%2E%2E": "..", "..": "..", ".": ".", "a+b": "a+b", "a;b": "a;b", "%FF": "\xff", "a%0Ab": "a\nb",
	} {
		c.Command("SUBSCRIBE", topic)
		_, err := c.Frame()
		require.NoError(t, err)
		a := s.raw("POST /topics/" + segment + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi")
		assert.Equal(t, http.StatusOK, a.StatusCode, segment)
		got, err := c.Frame()
		require.NoError(t, err)
		assert.Equal(t, harness.RESP("message", topic, "hi"), string(got))
	}
}

func TestAPostOfUnknownLength(t *testing.T) {
	s := start(t, server.Options{Limits: protocol.Limits{Message: 8}}, web.Options{})
	chunked := func(body string) answer {
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/topics/a", io.MultiReader(strings.NewReader(body)))
		require.NoError(t, err)
		return s.send(r)
	}
	assert.Equal(t, http.StatusOK, chunked("").StatusCode)
	assert.Equal(t, http.StatusOK, chunked("12345678").StatusCode)
	s.expectProblem(chunked("123456789"), http.StatusRequestEntityTooLarge)
	s.expectProblem(s.request("POST", "/topics/a", "123456789"), http.StatusRequestEntityTooLarge)
}

// A body that is cut off has no effect.
func TestHalfABody(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	c.Send("SUB news\n")
	c.Expect("OK SUB news\n")
	for _, half := range []string{
		"Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "Transfer-Encoding: chunked\r\n\r\n8\r\nhalf",
	} {
		sock, err := net.Dial("tcp", s.addr)
		require.NoError(t, err)
		_, err = io.WriteString(sock, "POST /topics/news HTTP/1.1\r\nHost: localhost\r\n"+half)
		require.NoError(t, err)
		require.NoError(t, sock.(*net.TCPConn).CloseWrite())
		response, err := http.ReadResponse(bufio.NewReader(sock), nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusBadRequest, response.StatusCode)
		_ = response.Body.Close()
		_ = sock.Close()
	}
	s.request("POST", "/topics/news", "whole")
	c.Expect("UPDATE news whole\n")
}

// raw sends a request as it stands, and reads one answer.
func (s *site) raw(text string) answer {
	s.t.Helper()
	sock, err := net.Dial("tcp", s.addr)
	require.NoError(s.t, err)
	defer func() { _ = sock.Close() }()
	_, err = io.WriteString(sock, text)
	require.NoError(s.t, err)
	response, err := http.ReadResponse(bufio.NewReader(sock), nil)
	require.NoError(s.t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	_ = response.Body.Close()
	a := answer{Response: response, body: string(body)}
	line := strings.Fields(text) // method, path, version
	checkAnswer(s.t, line[0], line[1], a)
	return a
}

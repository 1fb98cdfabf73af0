package web_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// dial opens a connection, on which the test writes what it likes.
func (s *site) dial() *harness.Conn {
	s.t.Helper()
	sock, err := net.Dial("tcp", s.addr)
	require.NoError(s.t, err)
	return harness.Use(s.t, sock)
}

// status reads one answer from a connection, and returns its status.
func status(t *testing.T, c io.Reader) int {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	_ = response.Body.Close()
	return response.StatusCode
}

const half = "POST /topics/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf"

// What cannot be a request is refused by one answer, or by the end of the connection; others are served all the same.
func TestNonsense(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	for text, want := range map[string]int{
		"nonsense\r\n\r\n":             400,
		"GET / HTTP/9.9\r\n\r\n":       505,
		"GET / HTTP/1.1\r\n\r\n":       400, // without a host
		"GET /topics HTTP/1.0\r\n\r\n": 200,
		"GET /topics/%zz/subscribers HTTP/1.1\r\nHost: localhost\r\n\r\n":                                         400,
		"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n":                                                               404,
		"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n":                                                404,
		"GET http://localhost/topics HTTP/1.1\r\nHost: localhost\r\n\r\n":                                         200,
		"POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n":                                400,
		"POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n":              400,
		"POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n":                     413,
		"POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n":            400,
		"POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n":                           501,
		"POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":                  400,
		"GET /topics HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n":              431,
		"POST /topics/" + strings.Repeat("a", 5000) + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n": 400,
	} {
		c := s.dial()
		c.Send("%s", text)
		assert.Equal(t, want, status(t, c), "%.80q", text)
		_ = c.Close()
	}
	assert.Equal(t, http.StatusOK, s.request("POST", "/topics/a", "x").StatusCode)
}

// A client that sends nothing, or half a header, is gone after handshake-timeout.
func TestHalfHeaders(t *testing.T) {
	s := start(t, server.Options{HandshakeTimeout: 20 * time.Millisecond}, web.Options{})
	for _, text := range []string{"", "POST /topics/news HT", "POST /topics/news HTTP/1.1\r\nHost: local"} {
		c := s.dial()
		c.Send("%s", text)
		_, _ = io.Copy(io.Discard, c) // it ends
	}
}

// A client that sends half a body is gone after slow-time, also if no handler reads the body.
func TestSlowBodies(t *testing.T) {
	s := start(t, server.Options{SlowTime: 50 * time.Millisecond}, web.Options{})
	for text, want := range map[string]int{
		half: http.StatusRequestTimeout,
		"POST /topics/news HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n": http.StatusRequestTimeout,
		strings.Replace(half, "/topics/news", "/nosuch", 1):                                                http.StatusNotFound,
	} {
		// On a busy machine the answer may miss its own deadline, which is slow-time as well.
		harness.Eventually(t, func() bool {
			c := s.dial()
			defer func() { _ = c.Close() }()
			c.Send("%s", text)
			all, _ := io.ReadAll(c) // it ends
			return strings.HasPrefix(string(all), fmt.Sprintf("HTTP/1.1 %d ", want))
		}, "it is answered")
	}
}

// A client that reads no answers is gone after slow-time.
func TestAClientThatNeverReads(t *testing.T) {
	s := start(t, server.Options{SlowTime: 50 * time.Millisecond}, web.Options{})
	c := s.dial()
	c.Send("POST /topics/news HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
	lines := strings.Repeat(`{"payload": ""}`+"\n", 4096)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(lines), lines)
	var err error
	for err == nil {
		_, err = io.WriteString(c, chunk)
	}
	harness.Eventually(t, func() bool { return s.Service().Counts.Open.Load() == 0 }, "its connection ends")
}

func TestTooManyConnections(t *testing.T) {
	s := start(t, server.Options{MaxConnections: 2}, web.Options{})
	var all []*harness.Conn
	for range 2 {
		c := s.dial()
		c.Send("GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n")
		assert.Equal(t, http.StatusOK, status(t, c))
		all = append(all, c)
	}
	c := s.dial()
	c.Send("GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n")
	assert.Equal(t, http.StatusServiceUnavailable, status(t, c))
	c.ExpectEnd()
	_ = all[0].Close()
	harness.Eventually(t, func() bool {
		c := s.dial()
		defer func() { _ = c.Close() }()
		c.Send("GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n")
		return status(t, c) == http.StatusOK
	}, "there is room again")
	assert.Positive(t, s.Info(t, "ended_full"))
}

// Half bodies count for the memory of all clients, and the largest of them goes.
func TestHalfBodiesAreBounded(t *testing.T) {
	s := start(t, server.Options{MaxMemory: 8 << 20}, web.Options{})
	for _, length := range []string{"Content-Length: 8000000", "Transfer-Encoding: chunked"} {
		ended := s.Info(t, "ended_memory")
		var all []*harness.Conn
		for range 4 {
			c := s.dial()
			c.Send("POST /topics/news HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", length)
			body := strings.Repeat("x", 4<<20)
			if strings.HasPrefix(length, "Transfer") {
				body = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
			}
			go func() { _, _ = io.WriteString(c, body) }() // it fails when the connection is cut
			all = append(all, c)
		}
		harness.Eventually(t, func() bool { return s.Info(t, "ended_memory") > ended }, "one is evicted")
		harness.Eventually(t, func() bool { return s.Info(t, "client_memory") < 8<<20 }, "the others fit")
		assert.Equal(t, http.StatusOK, s.request("POST", "/topics/other", "served all the same").StatusCode)
		for _, c := range all {
			_ = c.Close()
		}
		harness.Eventually(t, func() bool { return s.Info(t, "connected_clients") == 1 }, "they are gone")
	}
	harness.Eventually(t, func() bool { return s.Info(t, "client_memory") < 64<<10 }, "all is given back")
}

// A request ends with its connection, also while its body arrives.
func TestAKilledRequest(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.dial()
	c.Send(half)
	harness.Eventually(t, func() bool { return s.Service().Counts.Open.Load() == 1 }, "it has begun")
	operator := s.Dial(t)
	harness.Eventually(t, func() bool { // not before it has sent its first command
		operator.Command("CLIENT", "KILL", "ADDR", c.LocalAddr().String(), "SKIPME", "yes")
		return operator.Line() == ":1"
	}, "it is killed")
	assert.Equal(t, http.StatusServiceUnavailable, status(t, c))
}

// A certificate names the user of a request, over both versions of HTTP.
func TestCertificates(t *testing.T) {
	a := harness.NewAuthority(t)
	s := start(t, server.Options{CertificateUser: true, RequirePassword: "secret"}, web.Options{})
	set := s.request("PATCH", "/users/ann", `{"rules": ["on", "&news", "+publish"]}`, asJSON, basic("default", "secret"))
	require.Equal(t, http.StatusNoContent, set.StatusCode)
	l, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	s.web.ServeTLS(l, &tls.Config{
		Certificates: []tls.Certificate{a.Valid(t, "localhost").TLS(t)}, ClientCAs: a.Pool(), ClientAuth: tls.VerifyClientCertIfGiven,
	})
	for name, want := range map[string]int{"ann": 200, "unknown": 401, "": 401} {
		for _, h2 := range []bool{false, true} {
			config := &tls.Config{RootCAs: a.Pool(), ServerName: "localhost"}
			if name != "" {
				config.Certificates = []tls.Certificate{a.Valid(t, name).TLS(t)}
			}
			transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: h2}
			response, err := (&http.Client{Transport: transport}).Post("https://"+l.Addr().String()+"/topics/news", "text/plain", strings.NewReader(strings.Repeat("x", 20<<10)))
			require.NoError(t, err)
			assert.Equal(t, want, response.StatusCode, name)
			assert.Equal(t, h2, response.ProtoMajor == 2)
			_ = response.Body.Close()
			transport.CloseIdleConnections()
		}
	}
}

// Over HTTP/2 a request ends alone: the others on its connection go on.
func TestRequestsOfOneHTTP2Connection(t *testing.T) {
	a := harness.NewAuthority(t)
	s := start(t, server.Options{}, web.Options{})
	l, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	s.web.ServeTLS(l, &tls.Config{Certificates: []tls.Certificate{a.Valid(t, "localhost").TLS(t)}})
	dials := 0
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.Pool(), ServerName: "localhost"}, ForceAttemptHTTP2: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			dials++
			return net.Dial("tcp", l.Addr().String())
		},
	}
	defer transport.CloseIdleConnections()
	s.client, s.url = &http.Client{Transport: transport}, "https://localhost"
	assert.Equal(t, http.StatusOK, s.request("POST", "/topics/news", "first").StatusCode)

	body, in := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/topics/news", body)
	require.NoError(t, err)
	ndjson(r)
	go func() { _, _ = io.WriteString(in, `{"payload": "second"}`+"\n") }()
	half, err := s.client.Do(r)
	require.NoError(t, err)
	answers := bufio.NewReader(half.Body)
	line, err := answers.ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, `"sequence":2`)

	for range 3 * 100 { // more than it may have at a time
		a := s.request("POST", "/nosuch", "x")
		s.expectProblem(a, http.StatusNotFound)
		assert.Equal(t, 2, a.ProtoMajor)
	}
	operator := s.Dial(t)
	operator.Command("CLIENT", "KILL", "SKIPME", "yes")
	assert.Equal(t, ":1", operator.Line())
	_, err = io.Copy(io.Discard, answers)
	assert.Error(t, err, "an answer that is cut does not look whole")
	_ = half.Body.Close()
	_ = in.Close()
	assert.Equal(t, http.StatusOK, s.request("POST", "/topics/news", "last").StatusCode)
	assert.Equal(t, 1, dials)
}

// A failed handshake is counted and logged, as on the TLS port.
func TestFailedHandshakes(t *testing.T) {
	log := harness.NewLog()
	s := start(t, server.Options{Log: zerolog.New(log)}, web.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.web.ServeTLS(l, &tls.Config{Certificates: []tls.Certificate{harness.NewAuthority(t).Valid(t, "localhost").TLS(t)}})
	sock, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c := harness.Use(t, sock)
	c.Send("\x16\x03\x01\x00\x01nonsense")
	_, _ = io.Copy(io.Discard, c)
	assert.Contains(t, log.Await(t, "a TLS handshake failed", 1)["error"], c.LocalAddr().String())
	assert.Equal(t, 1, s.Info(t, "ended_handshake"))
	sock, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c = harness.Use(t, sock)
	c.Send("GET / HTTP/1.1\r\n\r\n")
	assert.Equal(t, http.StatusBadRequest, status(t, c), "HTTP on the port of HTTPS")
}

// Whatever a topic is, a publish over HTTP reaches the subscriber of the same bytes.
func TestTopicsOfAllBytes(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	topics := []string{"..", "/", "//", "a/b", "%2F", "\xff\x00", "a b", "a+b", "a&b=c", "?#", "ä", "\r\n", strings.Repeat("\xff", 4096)}
	for b := range 256 {
		topics = append(topics, string([]byte{byte(b)}))
	}
	for _, topic := range topics {
		c := s.Dial(t)
		c.Command("SUBSCRIBE", topic)
		_, err := c.Frame()
		require.NoError(t, err)
		for _, path := range []string{"/topics/" + web.EscapeTopic(topic), "/events?topic=" + url.QueryEscape(topic)} {
			response, err := s.client.Post(s.url+path, "text/plain", strings.NewReader(topic))
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			require.NoError(t, err)
			_ = response.Body.Close()
			require.Equal(t, http.StatusOK, response.StatusCode)
			got, err := c.Frame()
			require.NoError(t, err)
			require.Equal(t, harness.RESP("message", topic, topic), string(got))
		}
		_ = c.Close()
	}
}

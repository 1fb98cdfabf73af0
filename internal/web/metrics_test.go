package web_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// withUsers are users of different rights; the default user needs a password.
func withUsers(t *testing.T) *site {
	t.Helper()
	s := start(t, server.Options{RequirePassword: "open sesame"}, web.Options{Debug: true})
	c := s.Dial(t)
	c.Command("AUTH", "open sesame")
	c.Command("ACL", "SETUSER", "prometheus", "on", ">pw", "+info")
	c.Command("ACL", "SETUSER", "stranger", "on", ">pw", "+publish", "&*")
	c.Expect("+OK\r\n+OK\r\n+OK\r\n")
	return s
}

// sample returns the value of a metric.
func sample(t *testing.T, text, name string) string {
	t.Helper()
	_, after, found := strings.Cut(text, "\n"+name+" ")
	require.True(t, found, name)
	value, _, _ := strings.Cut(after, "\n")
	return value
}

func TestMetrics(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	c.Send("SUB news\nPUB news hello\nPUB other hello\n")
	c.Expect("OK SUB news\nOK PUB news\nUPDATE news hello\nOK PUB other\n")

	a := s.request(http.MethodGet, "/metrics", "")
	require.Equal(t, http.StatusOK, a.StatusCode)
	assert.Equal(t, "text/plain; version=0.0.4; charset=utf-8", a.Header.Get("Content-Type"))
	assert.Equal(t, "2", sample(t, a.body, "conch_messages_published_total"))
	assert.Equal(t, "1", sample(t, a.body, "conch_messages_matched_total"))
	assert.Equal(t, "1", sample(t, a.body, "conch_connections"), "the scrape itself is not counted")
	assert.Equal(t, "2", sample(t, a.body, `conch_commands_total{command="pub"}`))
}

// A scrape shows what is kept, what was replayed, and the streams as long as they are open.
func TestMetricsOfStreamsAndRecentMessages(t *testing.T) {
	s := start(t, server.Options{Recent: 1 << 20}, web.Options{})
	s.publish(1, 4)
	scrape := func() string { return s.request(http.MethodGet, "/metrics", "").body }
	assert.Equal(t, "0", sample(t, scrape(), `conch_streams{kind="events"}`))

	e := s.stream("/topics/news?last=2")
	e.expectMessage("2")
	e.expectMessage("3")
	s.upgrade("conch.json")
	text := scrape()
	assert.Equal(t, "1", sample(t, text, `conch_streams{kind="events"}`))
	assert.Equal(t, "1", sample(t, text, `conch_streams{kind="websocket"}`))
	assert.Equal(t, "2", sample(t, text, "conch_messages_replayed_total"))
	assert.Equal(t, "1", sample(t, text, "conch_recent_oldest_sequence"))
	assert.Equal(t, "1.048576e+06", sample(t, text, "conch_recent_limit_bytes"))
	assert.NotEqual(t, "0", sample(t, text, "conch_recent_bytes"))

	e.close()
	harness.Eventually(t, func() bool {
		return sample(t, scrape(), `conch_streams{kind="events"}`) == "0"
	}, "the stream is counted out")
}

func TestMetricsNeedTheRightToInfo(t *testing.T) {
	s := withUsers(t)
	s.expectProblem(s.request(http.MethodGet, "/metrics", ""), http.StatusUnauthorized)
	s.expectProblem(s.request(http.MethodGet, "/metrics", "", basic("stranger", "pw")), http.StatusForbidden)
	s.expectProblem(s.request(http.MethodPost, "/metrics", ""), http.StatusMethodNotAllowed)
	assert.Equal(t, http.StatusOK, s.request(http.MethodGet, "/metrics", "", basic("prometheus", "pw")).StatusCode)
}

// Positions of FROM GROUP are counted, and how far the hindmost is behind the newest entry.
func TestMetricsOfCursors(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	scrape := func() string { return s.request(http.MethodGet, "/metrics", "").body }
	assert.Contains(t, scrape(), "\nconch_cursors 0\n")
	c := s.Dial(t)
	c.Command("CONFIG", "SET", "durable", "orders")
	c.Expect("+OK\r\n")
	sub := s.Dial(t)
	sub.Send("SUB orders FROM GROUP billing\n")
	sub.Expect("OK SUB orders\n")
	s.publishOrders(c, 3)
	for range 3 {
		sub.Line()
	}
	sub.Send("UNSUB orders\n")
	sub.Expect("OK UNSUB orders\n")
	s.await("the position is noted", func() bool { return strings.Contains(scrape(), "\nconch_cursor_behind 0\n") })
	s.publishOrders(c, 4)
	assert.Contains(t, scrape(), "\nconch_cursors 1\n")
	assert.Contains(t, scrape(), "\nconch_cursor_behind 4\n")
}

// publishOrders publishes n messages.
func (s *site) publishOrders(c *harness.Conn, n int) {
	for range n {
		c.Command("PUBLISH", "orders", "x")
		assert.Regexp(s.t, `^:\d$`, c.Line())
	}
}

// A reader of /metrics that takes nothing keeps neither the core nor another scrape waiting.
func TestMetricsToASlowReader(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	for range 20 {
		sock, err := net.Dial("tcp", s.addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = sock.Close() })
		require.NoError(t, sock.(*net.TCPConn).SetReadBuffer(1<<10))
		request := "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
		_, err = sock.Write([]byte(strings.Repeat(request, 100))) // more than the kernel takes in answers
		require.NoError(t, err)
	}
	for range 20 {
		c := s.Dial(t)
		c.Fence()
		assert.Equal(t, http.StatusOK, s.request(http.MethodGet, "/metrics", "").StatusCode)
	}
}

func TestHealth(t *testing.T) {
	s := start(t, server.Options{Version: "1.2"}, web.Options{})
	s.Dial(t).Fence()
	for _, path := range []string{"/healthz", "/readyz"} {
		a := s.request(http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, a.StatusCode)
		assert.Equal(t, "ok", a.json["status"])
		assert.Equal(t, "1.2", a.json["version"])
		assert.Equal(t, s.Service().Epoch(), a.json["epoch"])
		assert.Equal(t, "1", a.json["clients"].(interface{ String() string }).String())
	}
}

func TestHealthNeedsNoPasswordAndShowsLittleWithout(t *testing.T) {
	s := withUsers(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		assert.Equal(t, `{"status":"ok"}`+"\n", s.request(http.MethodGet, path, "").body) //nolint:testifylint // nothing besides
		s.expectProblem(s.request(http.MethodGet, path, "", basic("stranger", "pw")), http.StatusForbidden)
		s.expectProblem(s.request(http.MethodGet, path, "", basic("stranger", "wrong")), http.StatusUnauthorized)
		assert.NotEmpty(t, s.request(http.MethodGet, path, "", basic("prometheus", "pw")).json["epoch"])
	}
}

// failedLog is a store whose log has failed.
type failedLog struct{ *store.Store }

func (failedLog) Failed() error { return errors.New("input/output error") }

// A server whose log has failed is restarted by what watches its health.
func TestHealthOfALogThatHasFailed(t *testing.T) {
	kept, err := store.Open(store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, kept.Close(0)) })
	s := start(t, server.Options{Store: failedLog{kept}}, web.Options{})
	for _, path := range []string{"/healthz", "/readyz"} {
		s.expectProblem(s.request(http.MethodGet, path, ""), http.StatusServiceUnavailable)
	}
}

func TestReadyEndsWithTheService(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	s.Service().Stop()
	s.expectProblem(s.request(http.MethodGet, "/readyz", ""), http.StatusServiceUnavailable)
}

func TestProfilesAreForOperators(t *testing.T) {
	s := withUsers(t)
	const heap = "/debug/pprof/heap"
	s.expectProblem(s.request(http.MethodGet, heap, ""), http.StatusUnauthorized)
	s.expectProblem(s.request(http.MethodGet, heap, "", basic("prometheus", "pw")), http.StatusForbidden)
	operator := basic("default", "open sesame")
	a := s.request(http.MethodGet, heap, "", operator)
	assert.Equal(t, http.StatusOK, a.StatusCode)
	assert.Equal(t, "application/octet-stream", a.Header.Get("Content-Type"))
	assert.Contains(t, s.request(http.MethodGet, "/debug/pprof/", "", operator).body, "goroutine")
	assert.Equal(t, http.StatusOK, s.request(http.MethodGet, "/debug/pprof/trace?seconds=1", "", operator).StatusCode)
	s.expectProblem(s.request(http.MethodGet, "/debug/pprof/cmdline", "", operator), http.StatusForbidden)
	for _, seconds := range []string{"0", "-1", "301", "x"} {
		s.expectProblem(s.request(http.MethodGet, "/debug/pprof/profile?seconds="+seconds, "", operator), http.StatusBadRequest)
	}
}

func TestProfilesAreOff(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	assert.Contains(t, s.expectProblem(s.request(http.MethodGet, "/debug/pprof/heap", ""), http.StatusNotFound), "--debug")
}

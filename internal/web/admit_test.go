package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

func TestUnknownPathsAndMethods(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	for _, path := range []string{"/nosuch", "/topics/a/b/c", "//topics/a", "/topics/a/", "/TOPICS/a"} {
		s.expectProblem(s.request("GET", path, ""), http.StatusNotFound)
	}
	a := s.request("PATCH", "/topics/a", "x")
	s.expectProblem(a, http.StatusMethodNotAllowed)
	assert.Contains(t, a.Header.Get("Allow"), "POST")
	s.expectProblem(s.request("POST", "/topics/", "x"), http.StatusBadRequest)
	a = s.request("HEAD", "/stats", "", header("Accept", "text/event-stream"))
	assert.Equal(t, http.StatusOK, a.StatusCode)
	assert.Empty(t, a.body)
	a = s.request("DELETE", "/stats", "")
	s.expectProblem(a, http.StatusMethodNotAllowed)
	assert.Equal(t, "GET, HEAD, OPTIONS", a.Header.Get("Allow"))
	assert.Equal(t, http.StatusNoContent, s.request("OPTIONS", "/topics/a", "").StatusCode)
}

func TestProtectedMode(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	for _, name := range []string{"Forwarded", "X-Forwarded-For"} {
		s.expectProblem(s.request("POST", "/topics/a", "x", header(name, "192.0.2.1")), http.StatusForbidden)
	}
	open := start(t, server.Options{Unprotected: true}, web.Options{})
	assert.Equal(t, http.StatusOK, open.request("POST", "/topics/a", "x", header("X-Forwarded-For", "192.0.2.1")).StatusCode)
	closed := start(t, server.Options{RequirePassword: "secret"}, web.Options{})
	assert.Equal(t, http.StatusOK, closed.request("POST", "/topics/a", "x", header("X-Forwarded-For", "192.0.2.1"), basic("", "secret")).StatusCode)
}

func TestOtherMachinesInProtectedMode(t *testing.T) {
	for remote, status := range map[string]int{"192.0.2.1:1": 403, "[2001:db8::1]:1": 403, "127.0.0.1:1": 200, "[::1]:1": 200, "[::ffff:127.0.0.1]:1": 200} {
		s := start(t, server.Options{}, web.Options{})
		r := httptest.NewRequest("POST", "/topics/a", strings.NewReader("x"))
		r.Host, r.RemoteAddr = "localhost", remote
		w := httptest.NewRecorder()
		s.web.Answer(w, r)
		assert.Equal(t, status, w.Code, remote)
		assert.Equal(t, status == 403, s.Info(t, "ended_protected") == 1, remote)
	}
}

// A page whose name server says that its host is this machine is refused, as long as conch needs no password.
func TestRebindingHosts(t *testing.T) {
	s := start(t, server.Options{}, web.Options{Origins: []string{"https://app.example.org"}})
	for host, status := range map[string]int{
		"localhost": 200, "LOCALHOST:8890": 200, "127.0.0.1": 200, "[::1]:8890": 200, "conch:8890": 200, "a.localhost": 200,
		"app.example.org": 200, "evil.example": 421, "localhost.evil.example:8890": 421, "127.0.0.1.evil.example": 421,
	} {
		assert.Equal(t, status, s.request("POST", "/topics/a", "x", header("Host", host)).StatusCode, host)
	}
	closed := start(t, server.Options{RequirePassword: "secret"}, web.Options{})
	assert.Equal(t, http.StatusOK, closed.request("POST", "/topics/a", "x", header("Host", "conch.example.org"), basic("default", "secret")).StatusCode)
}

func TestOrigins(t *testing.T) {
	s := start(t, server.Options{}, web.Options{Origins: []string{"https://app.example.org"}})
	a := s.request("POST", "/topics/a", "x", header("Origin", "https://app.example.org"))
	assert.Equal(t, http.StatusOK, a.StatusCode)
	assert.Equal(t, "https://app.example.org", a.Header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, http.StatusOK, s.request("POST", "/topics/a", "x", header("Origin", s.url)).StatusCode, "its own pages")
	for _, foreign := range []string{"https://evil.example", "null", "http://app.example.org", "https://app.example.org.evil.example"} {
		a := s.request("POST", "/topics/a", "x", header("Origin", foreign))
		s.expectProblem(a, http.StatusForbidden)
		assert.Empty(t, a.Header.Get("Access-Control-Allow-Origin"))
	}
	a = s.request("OPTIONS", "/topics/a", "", header("Origin", "https://app.example.org"), header("Access-Control-Request-Method", "POST"))
	assert.Equal(t, http.StatusNoContent, a.StatusCode)
	assert.Contains(t, a.Header.Get("Access-Control-Allow-Headers"), "Authorization")
	any := start(t, server.Options{}, web.Options{Origins: []string{"*"}})
	assert.Equal(t, http.StatusOK, any.request("POST", "/topics/a", "x", header("Origin", "https://a.example")).StatusCode)
}

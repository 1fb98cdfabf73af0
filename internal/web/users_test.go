package web_test

import (
	"net/http"
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

var asJSON = header("Content-Type", "application/json")

func TestUsers(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	set := s.request("PATCH", "/users/ann", `{"rules": ["on", ">pw", "&news", "+publish", "(&a +ping)"]}`, asJSON)
	require.Equal(t, http.StatusNoContent, set.StatusCode, set.body)
	a := s.request("GET", "/users", "")
	assert.NotContains(t, a.body, "#", "no digests of passwords")
	assert.Contains(t, a.body, `"user":"ann"`)
	assert.Regexp(t, `"\([^"]*&a[^"]*\+ping[^"]*\)"`, a.body, "a selector is one rule")
	assert.Equal(t, http.StatusOK, s.request("POST", "/topics/news", "x", basic("ann", "pw")).StatusCode)

	s.expectProblem(s.request("PATCH", "/users/ann", `{"rules": ["nonsense"]}`, asJSON), http.StatusBadRequest)
	s.expectProblem(s.request("PATCH", "/users/ann", `{"rule": ["on"]}`, asJSON), http.StatusBadRequest)
	s.expectProblem(s.request("PATCH", "/users/ann", `{"rules": []} {}`, asJSON), http.StatusBadRequest)
	s.expectProblem(s.request("PATCH", "/users/ann", `{"rules": []}`), http.StatusUnsupportedMediaType)
	s.expectProblem(s.request("PATCH", "/users/ann", `{"rules": ["`+strings.Repeat("x", 1<<20)+`"]}`, asJSON), http.StatusRequestEntityTooLarge)

	s.expectProblem(s.request("PATCH", "/users/", `{"rules": ["on"]}`, asJSON), http.StatusBadRequest)
	s.expectProblem(s.request("DELETE", "/users/", ""), http.StatusBadRequest)
	s.expectProblem(s.request("DELETE", "/tokens//t", ""), http.StatusBadRequest)

	assert.Equal(t, http.StatusNoContent, s.request("DELETE", "/users/ann", "").StatusCode)
	s.expectProblem(s.request("DELETE", "/users/ann", ""), http.StatusNotFound)
	s.expectProblem(s.request("DELETE", "/users/default", ""), http.StatusBadRequest)
}

// A user that deletes itself gets its answer.
func TestAUserDeletesItself(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	require.Equal(t, http.StatusNoContent, s.request("PATCH", "/users/ann", `{"rules": ["on", ">pw", "+@all"]}`, asJSON).StatusCode)
	assert.Equal(t, http.StatusNoContent, s.request("DELETE", "/users/ann", "", basic("ann", "pw")).StatusCode)
	s.expectProblem(s.request("GET", "/users", "", basic("ann", "pw")), http.StatusUnauthorized)
}

func TestTokens(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	require.Equal(t, http.StatusNoContent, s.request("PATCH", "/users/ann", `{"rules": ["on", "&news", "+publish"]}`, asJSON).StatusCode)
	a := s.request("POST", "/tokens", `{"user": "ann", "token": "laptop/1", "seconds": 60}`, asJSON)
	require.Equal(t, http.StatusCreated, a.StatusCode, a.body)
	secret := a.json["secret"].(string)
	assert.Equal(t, http.StatusOK, s.request("POST", "/topics/news", "x", bearer(secret)).StatusCode)
	for _, path := range []string{"/tokens", "/tokens?user=ann"} {
		row := only(t, s.request("GET", path, "").json["tokens"])
		assert.Equal(t, "ann", row["user"])
		assert.Equal(t, "laptop/1", row["token"])
	}
	s.expectProblem(s.request("GET", "/tokens?user=bob", ""), http.StatusBadRequest)
	s.expectProblem(s.request("POST", "/tokens", `{"user": "ann", "token": "laptop/1", "seconds": 60}`, asJSON), http.StatusBadRequest)
	s.expectProblem(s.request("POST", "/tokens", `{"user": "ann", "token": "x", "seconds": 0}`, asJSON), http.StatusBadRequest)
	s.expectProblem(s.request("DELETE", "/tokens/ann/none", ""), http.StatusNotFound)
	assert.Equal(t, http.StatusNoContent, s.request("DELETE", "/tokens/ann/laptop%2F1", "").StatusCode)
	s.expectProblem(s.request("POST", "/topics/news", "x", bearer(secret)), http.StatusUnauthorized)
}

// A ticket is for one request, and stands for what has made it. No log has it.
func TestTickets(t *testing.T) {
	log := harness.NewLog()
	s := start(t, server.Options{RequirePassword: "secret", Log: zerolog.New(log).Level(zerolog.TraceLevel)}, web.Options{})
	s.expectProblem(s.request("POST", "/tickets", ""), http.StatusUnauthorized)
	ticket := func(from option) string {
		a := s.request("POST", "/tickets", "", from)
		require.Equal(t, http.StatusCreated, a.StatusCode, a.body)
		return a.json["ticket"].(string)
	}
	one := ticket(basic("default", "secret"))
	assert.Equal(t, http.StatusOK, s.request("GET", "/topics?ticket="+one, "").StatusCode)
	s.expectProblem(s.request("GET", "/topics?ticket="+one, ""), http.StatusUnauthorized)
	s.expectProblem(s.request("GET", "/topics?ticket=forged", ""), http.StatusUnauthorized)
	s.expectProblem(s.request("POST", "/topics/news?ticket="+ticket(basic("default", "secret")), "x"), http.StatusUnauthorized)

	// It is worth no more than the token that has made it.
	admin := basic("default", "secret")
	require.Equal(t, http.StatusNoContent, s.request("PATCH", "/users/ann", `{"rules": ["on", "+@all"]}`, asJSON, admin).StatusCode)
	token := s.request("POST", "/tokens", `{"user": "ann", "token": "t", "seconds": 60}`, asJSON, admin).json["secret"].(string)
	two := ticket(bearer(token))
	require.Equal(t, http.StatusNoContent, s.request("DELETE", "/tokens/ann/t", "", admin).StatusCode)
	s.expectProblem(s.request("GET", "/topics?ticket="+two, ""), http.StatusUnauthorized)

	// What a ticket keeps is bounded, also of a user that needs no password.
	require.Equal(t, http.StatusNoContent, s.request("PATCH", "/users/guest", `{"rules": ["on", "nopass"]}`, asJSON, admin).StatusCode)
	ticket(basic("guest", strings.Repeat("x", 1<<10-len("guest"))))
	s.expectProblem(s.request("POST", "/tickets", "", basic("guest", strings.Repeat("x", 1<<10))), http.StatusBadRequest)
	s.stop()
	for _, secret := range []string{one, two, token, "forged"} {
		assert.NotContains(t, log.Text(), secret)
	}
}

func TestTicketsEndAndAreBounded(t *testing.T) {
	now := time.Now()
	var k web.Tickets
	first, ok := k.Create(now)
	require.True(t, ok)
	assert.False(t, k.Use(first, now.Add(30*time.Second)), "it has ended")
	first, _ = k.Create(now)
	assert.True(t, k.Use(first, now.Add(29*time.Second)))
	for range web.MaxTickets {
		_, ok = k.Create(now)
		require.True(t, ok)
	}
	_, ok = k.Create(now.Add(29 * time.Second))
	assert.False(t, ok, "that many wait")
	_, ok = k.Create(now.Add(30 * time.Second))
	assert.True(t, ok, "those have ended")
}

package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// bodies are valid bodies of the requests that need one.
var bodies = map[string]string{
	"PATCH /users/{user}": `{"rules": ["on"]}`,
	"POST /tokens":        `{"user": "other", "token": "t", "seconds": 60}`,

	"POST /streams/{stream}/groups/{group}/ack":     `{"ids": ["1-1"]}`,
	"POST /streams/{stream}/groups/{group}/release": `{"ids": ["1-1"]}`,
	"POST /streams/{stream}/groups/{group}/claim":   `{"ids": ["1-1"]}`,
}

// queries are the parameters that a request needs.
var queries = map[string]string{
	"/events": "?topic=news", "/read": "?stream=news",
	"/streams/{stream}/groups/{group}/read": "?consumer=ann", "/streams/{stream}/groups/{group}/claim": "?consumer=ann",
}

// Each route needs the right in its row, and no other: the user with this right alone gets an answer, the user with all
// but this is refused, and so is a client without a user.
func TestRights(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret"}, web.Options{Debug: true})
	admin := s.Dial(t)
	admin.Send("AUTH secret\n")
	admin.Expect("+OK\r\n")
	admin.Command("ACL", "SETUSER", "other", "on", ">pw")
	admin.Expect("+OK\r\n")
	path := strings.NewReplacer("{topic}", "news", "{stream}", "news", "{id}", "999999", "{group}", "workers", "{consumer}", "ann", "{user}", "other", "{token}", "t", "{name}", "orders-in", "{profile}", "heap")
	for _, row := range web.Routes() {
		method, right := row[0], row[2]
		if right == "" {
			continue // see TestRoutesWithoutARight
		}
		t.Run(method+" "+row[1], func(t *testing.T) {
			admin.Command("ACL", "SETUSER", "with", "reset", "on", ">pw", "&*", "~*", "+"+right)
			admin.Expect("+OK\r\n")
			admin.Command("ACL", "SETUSER", "without", "reset", "on", ">pw", "&*", "~*", "+@all", "-"+right)
			admin.Expect("+OK\r\n")
			for user, refused := range map[string]int{"without": http.StatusForbidden, "with": 0, "": http.StatusUnauthorized} {
				r, err := http.NewRequestWithContext(t.Context(), method, s.url+path.Replace(row[1])+queries[row[1]], strings.NewReader(bodies[method+" "+row[1]]))
				require.NoError(t, err)
				r.Header.Set("Content-Type", "application/json")
				if user != "" {
					r.SetBasicAuth(user, "pw")
				}
				response, err := s.client.Do(r)
				require.NoError(t, err)
				_ = response.Body.Close() // without reading it: a stream does not end
				if refused != 0 {
					assert.Equal(t, refused, response.StatusCode, "user %q", user)
					continue
				}
				assert.NotContains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, response.StatusCode, "user %q", user)
				assert.Less(t, response.StatusCode, 500, "user %q", user)
			}
		})
	}
}

// The routes without a right are for each user, and some of them for each client.
func TestRoutesWithoutARight(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret"}, web.Options{})
	admin := s.Dial(t)
	admin.Send("AUTH secret\n")
	admin.Expect("+OK\r\n")
	admin.Command("ACL", "SETUSER", "none", "reset", "on", ">pw")
	admin.Expect("+OK\r\n")
	want := map[string][2]int{ // without a user, and for one without rights
		"GET /ws":             {http.StatusUpgradeRequired, http.StatusUpgradeRequired},
		"POST /tickets":       {http.StatusUnauthorized, http.StatusCreated},
		"GET /openapi.yaml":   {http.StatusOK, http.StatusOK},
		"GET /":               {http.StatusOK, http.StatusOK},
		"GET /console/{file}": {http.StatusNotFound, http.StatusNotFound},
		"POST /session":       {http.StatusForbidden, http.StatusForbidden}, // no page of this origin
		"GET /session":        {http.StatusUnauthorized, http.StatusOK},
		"DELETE /session":     {http.StatusNoContent, http.StatusNoContent},
		"GET /healthz":        {http.StatusOK, http.StatusForbidden}, // a user gets details
		"GET /readyz":         {http.StatusOK, http.StatusForbidden},
	}
	for _, row := range web.Routes() {
		if row[2] != "" {
			continue
		}
		statuses, known := want[row[0]+" "+row[1]]
		require.True(t, known, row)
		assert.Equal(t, statuses[0], s.request(row[0], row[1], "").StatusCode, row)
		assert.Equal(t, statuses[1], s.request(row[0], row[1], "", basic("none", "pw")).StatusCode, row)
	}
}

// What a user may do with a topic or a pattern is the same over each transport: by requests, by event streams, and by both
// subprotocols of a WebSocket. A position or a predicate changes nothing.
func TestRightsToTopics(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret", Recent: 1 << 20}, web.Options{})
	admin := s.Dial(t)
	admin.Send("AUTH secret\n")
	admin.Expect("+OK\r\n")
	for _, test := range []struct {
		rules   string
		allowed string // what the user may do of all
	}{
		{"+subscribe &news.*", "SUB news.1, SUB news.*, SUB news.1 and news.2"},
		{"+psubscribe &news.*", "PSUB news.*, PSUB news.1, PSUB news.1*, PSUB news.* and news.1"},
		{"+psubscribe &*", "PSUB *, PSUB news.*, PSUB news.1, PSUB news.1*, PSUB other*, PSUB news.* and news.1, PSUB news.* and other*"},
		{"+publish &news.*", "PUB news.1, PUB news.*"},
		{"+subscribe +psubscribe +publish %R&news.1", "SUB news.1, PSUB news.1"},
		{"+subscribe +psubscribe +publish %W&news.1", "PUB news.1"},
		{"+subscribe +psubscribe +publish", ""},
		{"&*", ""},
		{"+@all &* -subscribe", "PUB other, PUB news.1, PUB news.*, PSUB *, PSUB news.*, PSUB news.1, PSUB news.1*, PSUB other*, PSUB news.* and news.1, PSUB news.* and other*"},
	} {
		t.Run(test.rules, func(*testing.T) {
			admin.Command(append([]string{"ACL", "SETUSER", "ann", "reset", "on", ">pw", "resetchannels"}, strings.Fields(test.rules)...)...)
			admin.Expect("+OK\r\n")
			allowed := strings.Split(test.allowed, ", ")
			for _, action := range []string{
				"SUB news.1", "SUB other", "SUB news.*", "SUB news.1 and news.2", "SUB news.1 and other", "PSUB *", "PSUB news.*", "PSUB news.1",
				"PSUB news.1*", "PSUB other*", "PSUB news.* and news.1", "PSUB news.* and other*", "PUB news.1", "PUB news.*", "PUB other",
			} {
				verb, rest, _ := strings.Cut(action, " ")
				s.requireRights(verb, strings.Split(rest, " and "), slices.Contains(allowed, action))
			}
		})
	}
}

// requireRights requires that user ann may, or may not, do something over each transport.
func (s *site) requireRights(verb string, names []string, allowed bool) {
	s.t.Helper()
	ann := basic("ann", "pw")
	said := fmt.Sprint(verb, " ", names)
	lines, objects := s.upgrade("conch.lines", "Authorization", "Basic YW5uOnB3"), s.upgrade("conch.json", "Authorization", "Basic YW5uOnB3")
	defer func() { _, _ = lines.Close(), objects.Close() }()
	text, err := json.Marshal(names)
	require.NoError(s.t, err)
	clauses, fields, queries := []string{""}, []string{""}, []string{""}
	if verb == "PUB" {
		status := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[allowed]
		assert.Equal(s.t, status, s.request("POST", "/topics/"+url.PathEscape(names[0]), "x", ann).StatusCode, said)
		assert.Equal(s.t, status, s.request("POST", "/events?topic="+url.QueryEscape(names[0]), "x", ann).StatusCode, said)
		many := s.request("POST", "/topics/"+url.PathEscape(names[0]), `{"payload": "x"}`, ann, ndjson)
		assert.Equal(s.t, allowed, strings.Contains(many.body, `"receivers"`), said)
		lines.send("PUB " + names[0] + " x")
		assert.Equal(s.t, allowed, strings.HasPrefix(string(lines.read().Payload), "OK "), said)
		objects.send(`{"op":"publish","payload":"x","topic":` + string(text) + `}`)
		assert.Equal(s.t, allowed, strings.Contains(string(objects.read().Payload), `"published"`), said)
		return
	}
	field, query := "topic", "/events?topic="+strings.Join(escaped(names), "&topic=")
	if verb == "PSUB" {
		field, query = "pattern", query+"&pattern=1"
	}
	clauses = append(clauses, " WHERE size > 99", " LAST 1", " FROM #1 WHERE size > 99")
	fields = append(fields, `,"where":"size > 99"`, `,"last":1`, `,"from":"#1","where":"size > 99"`)
	queries = append(queries, "&where=size+%3E+99", "&last=1", "&from=%231&where=size+%3E+99")
	for i := range clauses {
		r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+query+queries[i], nil)
		require.NoError(s.t, err)
		ann(r)
		response, err := s.client.Do(r)
		require.NoError(s.t, err)
		_ = response.Body.Close() // a stream does not end
		assert.Equal(s.t, map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[allowed], response.StatusCode, said+queries[i])

		lines, objects := s.upgrade("conch.lines", "Authorization", "Basic YW5uOnB3"), s.upgrade("conch.json", "Authorization", "Basic YW5uOnB3")
		lines.send(verb + " " + strings.Join(names, " ") + clauses[i])
		assert.Equal(s.t, allowed, strings.HasPrefix(string(lines.read().Payload), "OK "), said+clauses[i])
		objects.send(`{"op":"subscribe","` + field + `":` + string(text) + fields[i] + `}`)
		assert.Equal(s.t, allowed, strings.Contains(string(objects.read().Payload), `"subscribed"`), said+fields[i])
		_, _ = lines.Close(), objects.Close()
	}
}

func escaped(names []string) (all []string) {
	for _, name := range names {
		all = append(all, url.QueryEscape(name))
	}
	return all
}

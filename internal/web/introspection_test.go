package web_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// only is the one object in a list.
func only(t *testing.T, list any) map[string]any {
	t.Helper()
	all, _ := list.([]any)
	require.Len(t, all, 1)
	return all[0].(map[string]any)
}

func TestIntrospection(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	a := s.request("GET", "/topics", "")
	assert.JSONEq(t, `{"names": 0, "topics": []}`, a.body)
	c := s.Dial(t)
	c.Send("SUB news\n")
	c.Expect("OK SUB news\n")
	c.Command("PSUBSCRIBE", "\xff*")
	_, err := c.Frame()
	require.NoError(t, err)
	s.request("POST", "/topics/news", "hi")
	c.Expect("UPDATE news hi\n")

	a = s.request("GET", "/topics?match=n*", "")
	assert.JSONEq(t, `{"names": 1, "topics": [{"name": "news", "kind": "topic", "subscribers": 1}]}`, a.body)
	assert.Contains(t, s.request("GET", "/topics", "").body, `"name_base64":"/yo="`, "a name that is not UTF-8")

	a = s.request("GET", "/stats?match=n*", "")
	assert.Equal(t, s.Service().Epoch(), a.json["epoch"])
	assert.Equal(t, "1", fmt.Sprint(a.json["sequence"]))
	assert.Equal(t, "1", fmt.Sprint(only(t, a.json["busiest"])["published"]))

	a = s.request("GET", "/topics/news/subscribers", "")
	who := only(t, a.json["subscribers"])
	assert.Equal(t, "lines", who["dialect"])
	assert.Equal(t, c.LocalAddr().String(), who["addr"])

	id := fmt.Sprint(who["id"])
	a = s.request("GET", "/topics/news/why", "")
	assert.Contains(t, a.json["why"].([]any)[1], "the last message to it is #1, ")
	assert.Equal(t, "news", a.json["topic"])
	assert.Contains(t, a.body, `"waits":"","waits-for":null`)
	assert.Contains(t, s.request("GET", "/topics/%FF/why", "").body, `"subscription_base64":"/yo="`)
	a = s.request("GET", "/topics/New/why?client="+id, "")
	assert.Equal(t, "0", fmt.Sprint(a.json["client"].(map[string]any)["covering"]))
	assert.Equal(t, "it differs in one letter", only(t, a.json["similar"])["because"])
	s.expectProblem(s.request("GET", "/topics/news/why?client=none", ""), http.StatusBadRequest)
	s.expectProblem(s.request("GET", "/topics/news/why?client=999999", ""), http.StatusBadRequest)
	a = s.request("GET", "/connections", "")
	assert.Len(t, a.json["connections"], 2, "that of the request is one")
	assert.Contains(t, a.body, `"id":`+id+`,"addr":"`+c.LocalAddr().String())

	assert.Equal(t, http.StatusNoContent, s.request("DELETE", "/connections/"+id, "").StatusCode)
	c.ExpectEnd()
	s.expectProblem(s.request("DELETE", "/connections/"+id, ""), http.StatusNotFound)
	s.expectProblem(s.request("DELETE", "/connections/none", ""), http.StatusBadRequest)
	a = s.request("GET", "/endings", "")
	assert.Equal(t, "1", fmt.Sprint(a.json["ended"].(map[string]any)["killed"]))
	assert.Equal(t, "1", fmt.Sprint(a.json["connected"]))
}

// GET /stats and GET /endings come again and again to a client that takes events.
func TestPeriodicEvents(t *testing.T) {
	s := start(t, server.Options{}, web.Options{Period: time.Millisecond})
	for _, path := range []string{"/stats", "/endings"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+path, http.NoBody)
		require.NoError(t, err)
		r.Header.Set("Accept", "text/event-stream")
		response, err := s.client.Do(r)
		require.NoError(t, err)
		assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
		events := bufio.NewReader(response.Body)
		for range 3 {
			line, err := events.ReadString('\n')
			require.NoError(t, err)
			data, ok := strings.CutPrefix(line, "data: ")
			assert.True(t, ok, line)
			doc, err := document()
			require.NoError(t, err)
			checkSchema(t, doc, path[1:], data)
			line, err = events.ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, "\n", line)
		}
		_ = response.Body.Close()
	}
	// A stop ends the streams: the test would hang otherwise.
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/stats", http.NoBody)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/event-stream")
	response, err := s.client.Do(r)
	require.NoError(t, err)
	s.stop()
	_ = response.Body.Close()
}

package web_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// orders has four entries of three streams in the one order.
func orders(t *testing.T, s *site) {
	t.Helper()
	c := s.Dial(t)
	s.xadd(c, "orders", "1000-0", "price", "120", "region", "eu")
	s.xadd(c, "payments", "1000-0", "message", "two\nlines", "region", "us")
	s.xadd(c, "other", "1000-0", "message", "\xff")
	s.xadd(c, "orders", "2000-0", "price", "80")
}

// The entries of several streams come in the one order. The last line has the position to go on from.
func TestRead(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	orders(t, s)
	epoch := s.Service().Epoch()
	at := func(n int) string { return fmt.Sprintf(`,"epoch":"%s","sequence":%d`, epoch, n) }
	all := []string{
		`{"event":"entry","stream":"orders","id":"1000-0"` + at(1) + `,"fields":{"price":120,"region":"eu"}}`,
		`{"event":"entry","stream":"payments","id":"1000-0"` + at(2) + `,"payload":"two\nlines","headers":{"region":"us"}}`,
		`{"event":"entry","stream":"other","id":"1000-0"` + at(3) + `,"payload_base64":"/w=="}`,
		`{"event":"entry","stream":"orders","id":"2000-0"` + at(4) + `,"fields":{"price":80}}`,
	}
	for query, want := range map[string]struct {
		entries []int
		next    int
		more    bool
	}{
		"stream=*":                                  {[]int{1, 2, 3, 4}, 5, false},
		"stream=orders&stream=pay*":                 {[]int{1, 2, 4}, 5, false},
		"stream=orders&from=" + epoch + "-2":        {[]int{4}, 5, false},
		"stream=orders&from=2000-0":                 {[]int{4}, 5, false},
		"stream=*&from=%233":                        {[]int{3, 4}, 5, false},
		"stream=*&count=2":                          {[]int{1, 2}, 3, true},
		"stream=*&where=price%3E100":                {[]int{1}, 5, false},
		"stream=*&where=header(%22region%22)=='us'": {[]int{2}, 5, false},
		"stream=*&where=topic=='other'":             {[]int{3}, 5, false},
		"stream=*&where=size%3E99":                  {nil, 5, false},
		"stream=nosuch":                             {nil, 5, false},
	} {
		var lines []string
		for _, n := range want.entries {
			lines = append(lines, all[n-1])
		}
		a := s.request("GET", "/read?"+query, "")
		require.Equal(t, http.StatusOK, a.StatusCode, "%s: %s", query, a.body)
		assert.Equal(t, "application/x-ndjson", a.Header.Get("Content-Type"))
		got := strings.Split(strings.TrimSuffix(a.body, "\n"), "\n")
		assert.Equal(t, lines, append([]string(nil), got[:len(got)-1]...), query)
		rest := fmt.Sprintf(`"next":"%s-%d","more":%v}`, epoch, want.next, want.more)
		assert.Equal(t, `{"event":"end",`+rest, got[len(got)-1], query)
		a = s.request("GET", "/read?"+query, "", header("Accept", "application/json"))
		assert.Equal(t, `{"entries":[`+strings.Join(lines, ",")+"],"+rest+"\n", a.body, query)
	}
	for _, query := range []string{
		"", "stream=", "stream=*&count=0", "stream=*&last=0", "stream=*&last=x", "stream=*&from=x", "stream=*&from=0&last=1", "stream=*&last=1&count=1",
		"stream=*&where=price+%3D+1", "stream=*&from=1000-0", "stream=*&format=xml",
	} {
		s.expectProblem(s.request("GET", "/read?"+query, ""), http.StatusBadRequest)
	}
	s.expectProblem(s.request("GET", "/read?stream=*", "", header("Last-Event-ID", "x")), http.StatusBadRequest)
	assert.Equal(t, http.StatusMethodNotAllowed, s.request("HEAD", "/read?stream=*", "").StatusCode)
	last := s.request("GET", "/read?stream=*&last=2", "").body
	assert.True(t, strings.HasPrefix(last, all[2]+"\n"+all[3]+"\n{"), last)
}

// As events, an entry has its position as id, and a client goes on behind the last one.
func TestReadAsEvents(t *testing.T) {
	for name, s := range map[string]*site{"HTTP/1.1": start(t, server.Options{}, web.Options{}), "HTTP/2": startTLS(t, server.Options{})} {
		t.Log(name)
		orders(t, s)
		epoch := s.Service().Epoch()
		read := func(query string, options ...option) string {
			a := s.request("GET", "/read?"+query, "", append(options, header("Accept", "text/event-stream"))...)
			require.Equal(t, http.StatusOK, a.StatusCode, a.body)
			assert.Equal(t, "text/event-stream; charset=utf-8", a.Header.Get("Content-Type"))
			return strings.ReplaceAll(a.body, epoch, "EPOCH")
		}
		end := "id: EPOCH-4\n\nevent: end\ndata: {\"next\":\"EPOCH-5\",\"more\":false}\n\n"
		fourth := "id: EPOCH-4\ndata: {\"price\":80}\n\n"
		third := "id: EPOCH-3\nevent: base64\ndata: /w==\n\n"
		assert.Equal(t, "id: EPOCH-1\ndata: {\"price\":120,\"region\":\"eu\"}\n\nid: EPOCH-2\ndata: two\ndata: lines\n\n"+third+fourth+end, read("stream=*"))
		assert.Equal(t, third+fourth+end, read("stream=*&from=0", header("Last-Event-ID", epoch+"-2")))
		assert.Equal(t, end, read("stream=*&last=3", header("Last-Event-ID", epoch+"-4")))
		assert.Equal(t, `id: EPOCH-4`+"\n"+`data: {"event":"entry","stream":"orders","id":"2000-0","epoch":"EPOCH","sequence":4,"fields":{"price":80}}`+"\n\n"+end,
			read("stream=orders&from=2000-0&format=json"))
	}
}

// An answer goes on over as many pages as it takes, and ends at its count.
func TestReadOfManyPages(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	const n = 30
	for i := range n {
		s.xadd(c, fmt.Sprintf("s%d", i%3), fmt.Sprintf("%d-0", i+1), "number", fmt.Sprint(i), "text", strings.Repeat("x", 200<<10))
	}
	for query, want := range map[string]int{"count=1000": n, "count=20": 20, "last=7": 7, "last=25&where=number%3E3": 25, "count=1000&where=number%3E27": 2} {
		response, err := s.client.Get(s.url + "/read?stream=s*&" + query)
		require.NoError(t, err)
		var sequences []uint64
		lines := bufio.NewReader(response.Body)
		for {
			line, err := lines.ReadBytes('\n')
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			var v struct {
				Event    string
				Sequence uint64
			}
			require.NoError(t, json.Unmarshal(line, &v))
			if v.Event == "entry" {
				sequences = append(sequences, v.Sequence)
			}
		}
		_ = response.Body.Close()
		assert.Len(t, sequences, want, query)
		for i := 1; i < len(sequences); i++ {
			assert.Greater(t, sequences[i], sequences[i-1], query)
		}
	}
}

// Of a glob, streams without the right are left out; a stream that is named is refused.
func TestRightsToRead(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	orders(t, s)
	require.Equal(t, http.StatusNoContent, s.request("PATCH", "/users/ann", `{"rules": ["on", ">pw", "+read", "%R~orders", "%W~payments"]}`, asJSON).StatusCode)
	a := s.request("GET", "/read?stream=*", "", basic("ann", "pw"))
	assert.Equal(t, 2, strings.Count(a.body, `"stream":"orders"`))
	assert.Equal(t, 3, strings.Count(a.body, "\n"), a.body)
	for _, query := range []string{"stream=payments", "stream=orders&stream=payments"} {
		s.expectProblem(s.request("GET", "/read?"+query, "", basic("ann", "pw")), http.StatusForbidden)
	}
}

// Names of any bytes are read, and those that look like a word of the command stay names.
func TestReadOfOddNames(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	for _, name := range []string{"..", "/", "a b", "\xff", "WHERE", "from", "a&b"} {
		s.xadd(c, name, "1-0", "message", "x")
		a := s.request("GET", "/read?stream="+url.QueryEscape(name), "")
		assert.Equal(t, 2, strings.Count(a.body, "\n"), "%q: %s", name, a.body)
	}
}

// Clients that do not read an answer hold little memory, and are gone after slow-time; those that break it off are gone at once.
func TestReadsThatAreNotRead(t *testing.T) {
	s := start(t, server.Options{SlowTime: 200 * time.Millisecond}, web.Options{})
	c := s.Dial(t)
	for i := range 64 {
		s.xadd(c, fmt.Sprintf("s%d", i), "1-0", "message", strings.Repeat("x", 1<<20))
	}
	const clients = 8
	for i := range clients {
		slow := s.dial()
		slow.Send("GET /read?stream=*&count=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if i%2 == 0 {
			_ = slow.Close()
		}
	}
	most := 0
	harness.Eventually(t, func() bool {
		c.Command("XLEN", "s1")
		c.Expect(":1\r\n")
		most = max(most, s.Info(t, "client_memory"))
		return s.Info(t, "connected_clients") == 2
	}, "they are gone")
	assert.Less(t, most, clients*(8<<20))
}

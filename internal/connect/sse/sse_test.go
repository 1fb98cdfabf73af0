package sse

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/drivertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEvents(t *testing.T) {
	tests := []struct{ sentence, text, want string }{
		{"data", "data: a\n\n", "message||a"},
		{"all fields, in any order", "id: 1\nevent: e\ndata: a\nretry: 5\n\n", "e|1|a"},
		{"lines are joined", "data: a\ndata:b\ndata\n\n", "message||a\nb\n"},
		{"one blank alone belongs to the field", "data:  a \n\n", "message|| a "},
		{"comments and unknown fields are dropped", ": hi\nfoo: bar\ndata: a\n\n", "message||a"},
		{"an event without data is none", "event: e\nid: 7\n\ndata: a\n\n", "message||a"},
		{"an id with a zero byte is none", "id: a\x00\ndata: a\n\n", "message||a"},
		{"CR LF", "data: a\r\n\r\n", "message||a"},
		{"a byte order mark", "\ufeffdata: a\n\n", "message||a"},
		{"what has no end is none", "data: a\n", ""},
	}
	for _, test := range tests {
		p := &parser{lines: connect.NewLines(strings.NewReader(test.text), 1000), limit: 1000}
		got := ""
		if e, err := p.next(); err == nil {
			got = e.name + "|" + e.id + "|" + string(e.data)
		}
		assert.Equal(t, test.want, got, test.sentence)
	}
	p := &parser{lines: connect.NewLines(strings.NewReader("id: 7\n\ndata: a\n\n"), 1000), limit: 1000}
	_, err := p.next()
	require.NoError(t, err)
	assert.Equal(t, "7", p.id, "the id of an event without data counts")

	// Data that is too large stays too large, and bounded.
	p = &parser{lines: connect.NewLines(strings.NewReader(strings.Repeat("data: "+strings.Repeat("x", 500)+"\n", 9)+"\n"), 16), limit: 10}
	e, err := p.next()
	require.NoError(t, err)
	assert.Greater(t, len(e.data), 10)
	assert.Less(t, len(e.data), 40)
}

// serveNumbers serves events from the one behind Last-Event-ID to n, and then ends.
func serveNumbers(t *testing.T, n int) (url string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, ok := r.BasicAuth(); ok && password != "right" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
		for i := last + 1; i <= n; i++ {
			if _, err := fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %d\n\n", i, r.URL.Query().Get("name"), i); err != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return "sse+" + s.URL
}

func TestTenThousandEvents(t *testing.T) {
	const n = 10_000
	url := serveNumbers(t, n)
	source := drivertest.OpenSource(t, System, url+"?name=e", connect.Start{})
	all := drivertest.Read(t, source, n)
	for i, m := range all {
		require.Equal(t, fmt.Sprint(i+1), string(m.Payload))
		require.Equal(t, []string{"e", m.ID, m.ID}, []string{m.Meta["event"], string(m.Payload), m.Position})
	}
	require.ErrorContains(t, drivertest.ReadError(t, source), "the server has ended the events")

	// The next connection goes on behind what was read; on a durable topic behind what conch has kept.
	drivertest.Reconnect(t, source, connect.Start{})
	require.Error(t, drivertest.ReadError(t, source))
	kept := connect.Start{Durable: true, Positions: map[string]string{all[0].Partition: "9990"}}
	drivertest.Reconnect(t, source, kept)
	assert.Equal(t, drivertest.Payloads(9991, n+1), drivertest.ReadPayloads(t, source, 10))
	drivertest.Reconnect(t, source, connect.Start{Durable: true})
	drivertest.Read(t, source, n)
}

func TestAnswersWithoutEvents(t *testing.T) {
	answer, kind := 0, ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(answer)
	}))
	t.Cleanup(s.Close)
	for status, permanent := range map[int]bool{200: true, 204: true, 401: true, 404: true, 408: false, 429: false, 500: false, 503: false} {
		answer, kind = status, "text/html"
		source, err := newSource(drivertest.Address(t, System, "sse+"+s.URL))
		require.NoError(t, err)
		err = source.Connect(t.Context(), connect.Start{})
		require.Error(t, err)
		assert.Equal(t, permanent, isPermanent(err), "%d: %v", status, err)
		require.NoError(t, source.Close(t.Context()))
	}
	url := serveNumbers(t, 1)
	source, err := newSource(drivertest.Address(t, System, strings.Replace(url, "//", "//u:wrong@", 1)))
	require.NoError(t, err)
	err = source.Connect(t.Context(), connect.Start{})
	assert.True(t, isPermanent(err), "wrong credentials")
	assert.NotContains(t, err.Error(), "wrong")
	require.NoError(t, source.Close(t.Context()))
}

func TestCredentialsStayAtTheirHost(t *testing.T) {
	other := serveNumbers(t, 1) // has no events for a wrong password
	s := httptest.NewServer(http.RedirectHandler(strings.TrimPrefix(other, "sse+"), http.StatusFound))
	t.Cleanup(s.Close)
	source := drivertest.OpenSource(t, System, strings.Replace("sse+"+s.URL, "//", "//u:wrong@", 1), connect.Start{})
	assert.Equal(t, []string{"1"}, drivertest.ReadPayloads(t, source, 1))
}

func isPermanent(err error) bool {
	_, ok := err.(*connect.Permanent) //nolint:errorlint // the driver returns it as it is
	return ok
}

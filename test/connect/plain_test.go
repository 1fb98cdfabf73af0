//go:build connect

package connect

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Systems without a server of others: files, programs, HTTP. conch is killed in the middle, or the other side is away for a while.

func appendFile(t *testing.T, path string, payloads []string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(strings.Join(payloads, "\n") + "\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	c := startConch(t, sourceTable("in", "file://"+in, "d.in", `where = "price > 0"`, `dead = "dead"`)+sinkTable("out", "d.in", "file://"+out+"?fsync=true"))
	c.awaitRunning("in", "out")
	want := numbered("file", many)
	appendFile(t, in, want[:many/2])
	c.awaitEntries("d.in", 1)
	c.kill()
	require.NoError(t, os.Rename(in, in+".1")) // rotated meanwhile
	appendFile(t, in, want[many/2:])
	c.restart()
	want = held(want)
	assertOrder(t, want, c.awaitEntries("d.in", len(want)))
	c.awaitBalance("in")
	var lines []string
	eventually(t, func() bool {
		text, err := os.ReadFile(out)
		require.NoError(t, err)
		lines = strings.Split(string(text), "\n")
		lines = lines[:len(lines)-1] // the last one is empty, or on its way
		return len(distinct(lines)) >= len(want)
	}, "the file has all")
	assertAll(t, false, want, lines)
	c.awaitBalance("out")
}

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	appendFile(t, in, numbered("exec", many))
	c := startConch(t, sourceTable("in", "exec:cat?once=true&arg="+in, "d.{field.user.region}")+
		sinkTable("out", "d.r1", "exec:dd?arg=of="+out))
	c.awaitConnector("in", "has ended", func(a *account) bool { return a.State == "ended" })
	a := c.awaitBalance("in")
	assert.Equal(t, []int{many, many, 0}, []int{a.Taken, a.Published, a.Dead})
	n := len(c.entries("d.r1"))
	c.awaitConnector("out", "has sent all", func(a *account) bool { return a.Sent == n && a.Pending == 0 })
	c.stop() // ends the program's input
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Equal(t, n, strings.Count(string(text), "\n"))
}

// web is the other side over HTTP: it serves numbers as events, and takes what is posted. While it is away it answers 503.
type web struct {
	away atomic.Bool
	mu   sync.Mutex // for handlers and the test
	got  []string
}

func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	switch {
	case w.away.Load():
		rw.WriteHeader(http.StatusServiceUnavailable)
	case r.Method == http.MethodGet:
		rw.Header().Set("Content-Type", "text/event-stream")
		last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID")) // 0 without one
		for i := last + 1; i <= many; i++ {
			_, _ = fmt.Fprintf(rw, "id: %d\ndata: %d\n\n", i, i) // an end shows in what arrives
			if i%1000 == 0 && i < many {
				return // the connection ends often
			}
		}
		_ = http.NewResponseController(rw).Flush() // what is buffered
		<-r.Context().Done()
	default:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if strings.HasSuffix(string(body), "99") {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.got = append(w.got, string(body))
	}
}

// posts counts different ones.
func (w *web) posts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(distinct(w.got))
}

func TestHTTP(t *testing.T) {
	w := &web{}
	s := httptest.NewServer(w)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	c := startConch(t, sourceTable("in", "sse+"+s.URL+"/events", "d.in")+sinkTable("out", "d.in", s.URL+"/hook", `dead = "d.dead"`, "tries = 1"))
	c.awaitEntries("d.in", many/4)
	w.away.Store(true)
	s.CloseClientConnections()
	c.kill()
	c.restart()
	w.away.Store(false)
	var want []string
	for i := range many {
		want = append(want, strconv.Itoa(i+1))
	}
	assertOrder(t, want, c.awaitEntries("d.in", many))
	c.awaitBalance("in")
	eventually(t, func() bool { return w.posts() >= many-many/100 }, "the other side has all that it takes")
	assert.Len(t, distinct(c.awaitEntries("d.dead", many/100)), many/100)
	c.awaitConnector("out", "is done", func(a *account) bool { return a.Pending == 0 && a.State == "running" })
	assert.Equal(t, many-many/100, w.posts())
}

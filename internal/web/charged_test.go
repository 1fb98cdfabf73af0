package web_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// taker is the client's side of an answer without a socket: what happens at each write is the test's.
type taker struct {
	httptest.ResponseRecorder
	deadlines chan time.Time // of writes
	deadline  atomic.Pointer[time.Time]
	onWrite   func(text []byte) error
}

func newTaker() *taker {
	return &taker{ResponseRecorder: *httptest.NewRecorder(), deadlines: make(chan time.Time, 1000)}
}

func (k *taker) Write(text []byte) (int, error) {
	if k.onWrite != nil {
		if err := k.onWrite(text); err != nil {
			return 0, err
		}
	}
	return k.ResponseRecorder.Write(text)
}

func (k *taker) SetWriteDeadline(t time.Time) error {
	k.deadline.Store(&t)
	select {
	case k.deadlines <- t:
	default:
	}
	return nil
}

func (k *taker) EnableFullDuplex() error { return nil }

// reads is a body that comes in pieces: each is what a function returns, until that is nothing.
type reads []func() string

func (r *reads) Read(p []byte) (int, error) {
	if len(*r) == 0 {
		return 0, io.EOF
	}
	next := (*r)[0]
	*r = (*r)[1:]
	return copy(p, next()), nil
}

// local is a request from this machine.
func local(method, path string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, path, body)
	r.Host, r.RemoteAddr = "localhost", "127.0.0.1:1"
	return r
}

// While a body pauses, also within a line, the lines before are answered, and no deadline for writes passes.
func TestABodyThatPauses(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	k := newTaker()
	answered := func(lines int, next string) func() string {
		return func() string {
			assert.Equal(t, lines, strings.Count(k.Body.String(), "\n"), "before %q", next)
			at := k.deadline.Load()
			assert.True(t, at == nil || at.IsZero(), "before %q", next)
			return next
		}
	}
	r := local("POST", "/topics/news", &reads{
		answered(0, `{"payload": "1"}`+"\n"), answered(1, `{"payload": "2"}`+"\n"+`{"pay`), answered(2, `load": `), answered(2, `"3"}`+"\n"),
		answered(3, `{"payload": "4"}`+"\n"+`{"payload": "5"}`+"\n"), answered(5, `{"payload": "6"}`),
	})
	ndjson(r)
	s.web.Answer(k, r)
	assert.Equal(t, 6, strings.Count(k.Body.String(), `"sequence":`))
}

// settledMemory is what clients hold once the buffers of their last commands are given back: a base with some of these would hide
// as much of what is measured.
func settledMemory(t *testing.T, s *site) (used int) {
	s.await("memory settles", func() bool {
		last := used
		used = s.Info(t, "client_memory")
		return used == last
	})
	return used
}

// An answer counts as memory of its connection while it is written, and so do the replies of a transaction.
func TestAnswersCountAsMemory(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	for i := range 1000 {
		c.Send("SUB %s%d\n", strings.Repeat("x", 1000), i)
		c.Line()
	}
	for range 300 {
		s.Dial(t).Fence()
	}
	var body bytes.Buffer
	for range 20_000 {
		body.WriteString(`{"payload": ""}` + "\n")
	}
	base := settledMemory(t, s)
	for _, test := range []struct {
		method, path string
		body         io.Reader
		most         int // bytes that count, at least
	}{
		{"GET", "/topics", nil, 800 << 10},
		{"GET", "/stats", nil, 800 << 10},
		{"GET", "/connections", nil, 100 << 10},
		{"GET", "/topics/" + strings.Repeat("x", 1000) + "1/subscribers", nil, 0},
		{"GET", "/metrics", nil, 16 << 10},
		{"POST", "/events?topic=a&atomic=1", &body, 20_000 * 100},
	} {
		k, counted := newTaker(), 0
		k.onWrite = func([]byte) error {
			if counted == 0 {
				counted = s.Info(t, "client_memory") - base
			}
			return nil
		}
		r := local(test.method, test.path, test.body)
		if test.body != nil {
			ndjson(r)
		}
		s.web.Answer(k, r)
		require.Equal(t, http.StatusOK, k.Code, "%s: %.200s", test.path, k.Body.String())
		assert.GreaterOrEqual(t, counted, test.most, test.path)
		s.await("all is given back", func() bool { return s.Info(t, "client_memory") < base+64<<10 })
	}
}

// A connection that ends while its answer is written, as one that is evicted, takes that along: the client gets no whole answer.
func TestAnAnswerEndsWithItsConnection(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	for i := range 300 {
		c.Send("SUB %s%d\n", strings.Repeat("x", 1000), i)
		c.Line()
	}
	for _, accept := range []string{"application/json", "text/event-stream"} {
		for _, path := range []string{"/stats", "/topics"} {
			k, operator := newTaker(), s.Dial(t)
			k.onWrite = func([]byte) error {
				operator.Command("CLIENT", "LIST")
				list, err := operator.Frame()
				require.NoError(t, err)
				id := ""
				for line := range strings.Lines(string(list)) {
					if strings.Contains(line, "addr=127.0.0.1:1 ") {
						_, err := fmt.Sscanf(line, "id=%s", &id)
						require.NoError(t, err)
					}
				}
				for len(k.deadlines) > 0 {
					<-k.deadlines
				}
				operator.Command("CLIENT", "KILL", "ID", id)
				operator.Expect(":1\r\n")
				for at := range k.deadlines {
					if at.Before(time.Now()) {
						break
					}
				}
				return os.ErrDeadlineExceeded
			}
			r := local("GET", path, nil)
			r.Header.Set("Accept", accept)
			if path == "/stats" && accept == "text/event-stream" {
				s.web.Answer(k, r) // an event stream ends at any event
			} else {
				assert.PanicsWithValue(t, http.ErrAbortHandler, func() { s.web.Answer(k, r) })
			}
			assert.Equal(t, http.StatusOK, k.Code)
			require.NoError(t, operator.Close())
			s.await("its connection is gone", func() bool { return s.Service().Counts.Open.Load() == 1 })
		}
	}
}

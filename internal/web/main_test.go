package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a server that answers over HTTP, beside its sockets.
type site struct {
	*harness.Server
	t      testing.TB
	web    *web.Server
	addr   string
	url    string
	client *http.Client
}

// start runs a server on two free ports until the test ends.
func start(t testing.TB, o server.Options, w web.Options) *site {
	t.Helper()
	s := &site{Server: harness.Start(t, o), t: t, client: &http.Client{Transport: &http.Transport{}}}
	s.web = web.New(s.Service(), w)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = l.Addr().String()
	s.url = "http://" + s.addr
	s.web.Serve(l)
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		s.stop()
	})
	return s
}

// stop stops the service, and then the server, which waits for all requests.
func (s *site) stop() {
	s.Service().Stop()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	s.web.Shutdown(ctx)
	assert.NoError(s.t, ctx.Err())
}

// answer is an answer with its body.
type answer struct {
	*http.Response
	body string
	json map[string]any // of a body that is an object
}

// option changes a request.
type option func(*http.Request)

func header(name, value string) option {
	return func(r *http.Request) {
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
}

func basic(user, password string) option {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// request sends one request, and reads its answer.
func (s *site) request(method, path, body string, options ...option) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	for _, change := range options {
		change(r)
	}
	return s.send(r)
}

func (s *site) send(r *http.Request) answer {
	s.t.Helper()
	response, err := s.client.Do(r)
	require.NoError(s.t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	a := answer{Response: response, body: string(text)}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // sequence numbers are not for floats
	_ = decoder.Decode(&a.json)
	checkAnswer(s.t, r.Method, r.URL.EscapedPath(), a)
	return a
}

// decoded is a JSON value.
func decoded(t testing.TB, text string) (v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

// expectProblem requires a problem, and returns its detail.
func (s *site) expectProblem(a answer, status int) string {
	s.t.Helper()
	require.Equal(s.t, status, a.StatusCode, a.body)
	require.Equal(s.t, "application/problem+json", a.Header.Get("Content-Type"))
	detail, _ := a.json["detail"].(string)
	assert.NotEmpty(s.t, detail)
	assert.Equal(s.t, http.StatusText(status), a.json["title"])
	return detail
}

package web_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// poll sends a long poll, without waiting for its answer.
func (s *site) poll(query string) *harness.Conn {
	s.t.Helper()
	c := s.dial()
	c.Send("POST %s/read?%s HTTP/1.1\r\nHost: localhost\r\n\r\n", workers, query)
	return c
}

// entriesOf reads the answer of a long poll.
func entriesOf(t *testing.T, c io.Reader) string {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	return string(body)
}

// awaitBlocked waits until so many clients wait for an entry.
func (s *site) awaitBlocked(n int) {
	s.t.Helper()
	s.await("they wait", func() bool { return s.Info(s.t, "blocked_clients") == n })
}

// Polls get an entry each, in the order in which they came. One without an entry ends with an empty answer.
func TestLongPolls(t *testing.T) {
	s := startGroup(t, 0, server.Options{})
	assert.Empty(t, s.request("POST", workers+"/read?consumer=ann&wait=1ns", "").body)
	first := s.poll("consumer=ann&wait=10m&count=1")
	s.awaitBlocked(1)
	second := s.poll("consumer=bob&wait=10m&count=1")
	s.awaitBlocked(2)
	c := s.Dial(t)
	s.xadd(c, "jobs", "1-0", "message", "job 1")
	s.xadd(c, "jobs", "2-0", "message", "job 2")
	assert.Equal(t, jobs(1), entriesOf(t, first))
	assert.Equal(t, jobs(2), entriesOf(t, second))
}

// A poll with claim gets an entry that was released while it waits.
func TestALongPollForReleasedEntries(t *testing.T) {
	s := startGroup(t, 1, server.Options{})
	require.Equal(t, jobs(1), s.request("POST", workers+"/read?consumer=ann", "").body)
	p := s.poll("consumer=bob&wait=10m&claim=1h")
	s.awaitBlocked(1)
	require.Equal(t, "{\"released\":1}\n", s.request("POST", workers+"/release?id=1-0", "").body)
	assert.Contains(t, entriesOf(t, p), `"deliveries":2,"payload":"job 1"`)
}

// The end of a client ends its wait, over both versions of HTTP: what is added then goes to another one.
func TestALongPollThatItsClientLeaves(t *testing.T) {
	t.Run("HTTP/1.1", func(t *testing.T) {
		s := startGroup(t, 0, server.Options{})
		p := s.poll("consumer=ann&wait=10m")
		s.awaitBlocked(1)
		require.NoError(t, p.Close())
		s.expectNoPoll()
	})
	t.Run("HTTP/2", func(t *testing.T) {
		s := startTLS(t, server.Options{})
		require.Equal(t, http.StatusCreated, s.request("PUT", workers+"?mkstream=1", "").StatusCode)
		p := s.dialHTTP2(largeWindow)
		const endOfAll = 0x1 | 0x4
		path := workers + "/read?consumer=ann&wait=10m"
		block := append([]byte{0x83, 0x87, 4, byte(len(path))}, path...) // POST, https, :path
		p.frame(frameHeaders, endOfAll, 1, append(append(block, 1, 9), "localhost"...))
		s.awaitBlocked(1)
		p.frame(frameReset, 0, 1, binary.BigEndian.AppendUint32(nil, canceled))
		s.expectNoPoll()
	})
}

// expectNoPoll requires that nothing waits any more, and that a new entry goes to the one that reads it.
func (s *site) expectNoPoll() {
	s.t.Helper()
	s.awaitBlocked(0)
	c := s.Dial(s.t)
	s.xadd(c, "jobs", "1-0", "message", "job 1")
	require.NoError(s.t, c.Close())
	assert.Equal(s.t, jobs(1), s.request("POST", workers+"/read?consumer=bob", "").body)
	s.await("the connections are gone", func() bool { return s.Service().Counts.Open.Load() == 0 })
}

// A poll is a connection as any other: an operator ends it, and so does the end of the group, and a stop.
func TestLongPollsThatConchEnds(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		end    func(s *site, operator *harness.Conn)
	}{
		"CLIENT KILL": {http.StatusServiceUnavailable, func(_ *site, operator *harness.Conn) {
			operator.Command("CLIENT", "KILL", "SKIPME", "yes")
			assert.NotEqual(t, ":0", operator.Line()) // that of an INFO may be another one
		}},
		"CLIENT UNBLOCK": {http.StatusServiceUnavailable, func(s *site, operator *harness.Conn) {
			operator.Command("CLIENT", "LIST")
			list, err := operator.Frame()
			require.NoError(s.t, err)
			for line := range strings.Lines(string(list)) {
				if strings.Contains(line, "cmd=xreadgroup") {
					_, id, _ := strings.Cut(line, "id=")
					id, _, _ = strings.Cut(id, " ")
					operator.Command("CLIENT", "UNBLOCK", id, "ERROR")
					operator.Expect(":1\r\n")
				}
			}
		}},
		"the end of the group": {http.StatusNotFound, func(_ *site, operator *harness.Conn) {
			operator.Command("XGROUP", "DESTROY", "jobs", "workers")
			operator.Expect(":1\r\n")
		}},
		"the end of the stream": {http.StatusNotFound, func(_ *site, operator *harness.Conn) {
			operator.Command("DEL", "jobs")
			operator.Expect(":1\r\n")
		}},
		"a stop": {http.StatusServiceUnavailable, func(s *site, _ *harness.Conn) { s.Service().Stop() }},
	} {
		t.Run(name, func(t *testing.T) {
			s := startGroup(t, 0, server.Options{})
			p := s.poll("consumer=ann&wait=10m")
			s.awaitBlocked(1)
			test.end(s, s.Dial(t))
			assert.Equal(t, test.status, status(t, p))
		})
	}
}

// A request behind a poll is answered behind it.
func TestARequestBehindALongPoll(t *testing.T) {
	s := startGroup(t, 0, server.Options{})
	p := s.poll("consumer=ann&wait=10m")
	p.Send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	s.awaitBlocked(1)
	s.xadd(s.Dial(t), "jobs", "1-0", "message", "job 1")
	in := bufio.NewReader(p)
	assert.Equal(t, jobs(1), entriesOf(t, in))
	response, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	_ = response.Body.Close()
	assert.Equal(t, http.StatusOK, response.StatusCode)
}

package web_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// eventStream is the client's side of an event stream.
type eventStream struct {
	*http.Response
	t  testing.TB
	in *bufio.Reader
	// close ends the request.
	close func()
}

// events opens a stream, which has sent its first position.
func (s *site) events(path string, options ...option) *eventStream {
	s.t.Helper()
	e := s.stream(path, options...)
	require.Regexp(s.t, `^id: [a-f][0-9a-f]{15}-\d+\n\n$`, e.next(), "a stream begins with the position")
	return e
}

func (s *site) stream(path string, options ...option) *eventStream {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	require.NoError(s.t, err)
	for _, change := range options {
		change(r)
	}
	response, err := s.client.Do(r)
	require.NoError(s.t, err)
	e := &eventStream{response, s.t, bufio.NewReader(response.Body), cancel}
	s.t.Cleanup(func() {
		cancel()
		_ = response.Body.Close()
	})
	require.Equal(s.t, http.StatusOK, response.StatusCode)
	checkAnswer(s.t, r.Method, r.URL.EscapedPath(), answer{Response: response})
	return e
}

// next reads one event.
func (e *eventStream) next() (text string) {
	e.t.Helper()
	for !strings.HasSuffix(text, "\n\n") {
		line, err := e.in.ReadString('\n')
		require.NoError(e.t, err, "%q", text)
		text += line
	}
	return text
}

// expect reads an event without its epoch.
func (e *eventStream) expect(want string) {
	e.t.Helper()
	got := e.next()
	if rest, ok := strings.CutPrefix(got, "id: "); ok {
		_, rest, _ = strings.Cut(rest, "-")
		got = "id: #" + rest
	}
	require.Equal(e.t, want, got)
}

// both runs a test over HTTP/1.1, where the stream takes the socket over, and over HTTP/2.
func both(t *testing.T, o server.Options, test func(t *testing.T, s *site)) {
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, start(t, o, web.Options{})) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, startTLS(t, o)) })
}

// startTLS is start with HTTP/2 over TLS.
func startTLS(t *testing.T, o server.Options) *site {
	t.Helper()
	s := start(t, o, web.Options{})
	authority := harness.NewAuthority(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.web.ServeTLS(l, &tls.Config{Certificates: []tls.Certificate{authority.Valid(t, "localhost").TLS(t)}, MinVersion: tls.VersionTLS12})
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	s.url = "https://localhost:" + port
	s.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}
	s.client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	return s
}

func TestATopicAsEvents(t *testing.T) {
	both(t, server.Options{}, func(t *testing.T, s *site) {
		e := s.events("/topics/news")
		c := s.Dial(t)
		c.Command("PUBLISH", "news", "hi")
		c.Expect(":1\r\n")
		e.expect("id: #1\ndata: hi\n\n")
		c.Command("PUBLISH", "news", "two\nlines")
		c.Expect(":1\r\n")
		e.expect("id: #2\ndata: two\ndata: lines\n\n")
		c.Command("PUBLISH", "news", "\xff\r")
		c.Expect(":1\r\n")
		e.expect("id: #3\nevent: base64\ndata: /w0=\n\n")
	})
}

func TestSeveralTopicsAsJSON(t *testing.T) {
	both(t, server.Options{}, func(t *testing.T, s *site) {
		e := s.events("/events?topic=a&topic=b%20b%2Fb&topic=%ff&format=json")
		c := s.Dial(t)
		for i, topic := range []string{"a", "b b/b", "\xff"} {
			c.Command("PUBLISH", topic, fmt.Sprint(i))
			c.Expect(":1\r\n")
		}
		epoch := s.Service().Epoch()
		for i, topic := range []string{`"topic":"a"`, `"topic":"b b/b"`, `"topic_base64":"/w=="`} {
			e.expect(fmt.Sprintf("id: #%d\ndata: {\"event\":\"message\",%s,\"payload\":\"%d\",\"epoch\":\"%s\",\"sequence\":%d}\n\n", i+1, topic, i, epoch, i+1))
		}
	})
}

func TestAPatternAndAPredicateAsEvents(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	e := s.events("/events?topic=orders.*&pattern=1&format=json&where=price+%3E+5")
	c := s.Dial(t)
	c.Command("PUBLISH", "orders.1", `{"price": 5}`)
	c.Expect(":0\r\n")
	c.Command("PUBLISH", "orders.2", `{"price": 6}`)
	c.Expect(":1\r\n")
	assert.Contains(t, e.next(), `"topic":"orders.2","pattern":"orders.*","payload":"{\"price\": 6}"`)
	literal := s.events("/topics/orders.*")
	c.Command("PUBLISH", "orders.1", `x`)
	c.Expect(":0\r\n")
	c.Command("PUBLISH", "orders.*", `y`)
	c.Expect(":1\r\n")
	literal.expect("id: #4\ndata: y\n\n")
}

// A silent stream moves the position of its client, and fires nothing.
func TestAHeartbeatIsAPosition(t *testing.T) {
	both(t, server.Options{}, func(t *testing.T, s *site) {
		s.web.SetHeartbeat(10 * time.Millisecond)
		e := s.events("/topics/news")
		c := s.Dial(t)
		c.Command("PUBLISH", "other", "x")
		c.Expect(":0\r\n")
		want := "id: " + s.Service().Epoch() + "-1\n\n"
		for e.next() != want { // those before the publish
		}
		require.Equal(t, want, e.next())
	})
}

// A silent stream goes on, however short slow-time is: nothing waits for its client.
func TestASilentStreamGoesOn(t *testing.T) {
	both(t, server.Options{SlowTime: 400 * time.Millisecond}, func(_ *testing.T, s *site) {
		s.web.SetHeartbeat(time.Second)
		s.events("/topics/news").next()
	})
}

// A wrong request is refused before the stream begins, by a status.
func TestRefusedStreams(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret", MaxSubscriptions: 2}, web.Options{})
	c := s.Dial(t)
	c.Send("AUTH secret\n")
	c.Expect("+OK\r\n")
	c.Command("ACL", "SETUSER", "ann", "on", ">pw", "resetchannels", "&news", "+subscribe")
	c.Expect("+OK\r\n")
	root, ann := basic("default", "secret"), basic("ann", "pw")
	for _, test := range []struct {
		name, path string
		given      option
		status     int
		detail     string
	}{
		{"no password", "/topics/news", func(*http.Request) {}, 401, "authentication required"},
		{"a wrong password", "/topics/news", basic("ann", "x"), 401, "invalid username-password pair or user is disabled."},
		{"no right to a topic", "/topics/secrets", ann, 403, "No permissions to access a channel"},
		{"no right to one of several", "/events?topic=news&topic=secrets", ann, 403, "No permissions to access a channel"},
		{"no topic", "/events", root, 400, "name a topic: /events?topic=news"},
		{"an empty topic", "/events?topic=", root, 400, "a topic has at least one byte"},
		{"a wrong predicate", "/topics/news?where=price+%3E", root, 400, "wrong predicate, column 8: the expression ends too early"},
		{"a wrong format", "/topics/news?format=xml", root, 400, `wrong value of format: "xml"; docs/http.md has the forms`},
		{"a wrong position", "/topics/news?from=yesterday", root, 400, `wrong value of from: "yesterday"; docs/http.md has the forms`},
		{"a wrong number", "/topics/news?last=0", root, 400, `wrong value of last: "0"; docs/http.md has the forms`},
		{"a wrong each", "/topics/news?last=1&each=2", root, 400, `wrong value of each: "2"; docs/http.md has the forms`},
		{"each of several", "/topics/news?last=2&each=1", root, 400, `wrong value of each: "1"; docs/http.md has the forms`},
		{"each of none", "/topics/news?each=1", root, 400, `wrong value of each: "1"; docs/http.md has the forms`},
		{"too many topics", "/events?topic=a&topic=b&topic=c", root, 400, "more than 2 subscriptions on one connection (--max-subscriptions)"},
		{"a long topic", "/topics/" + strings.Repeat("x", 5000), root, 400, "topic of 5000 bytes is longer than 4096 (--max-topic)"},
		{"words of the grammar", "/topics/a%20WHERE%20b", root, 400, `a name may not contain " WHERE ": use a pattern with [ ] for the space`},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Contains(t, s.expectProblem(s.request("GET", test.path, "", test.given), test.status), test.detail)
		})
	}
	detail := s.expectProblem(s.request("GET", "/topics/news", "", root, header("Last-Event-ID", "12")), 400)
	assert.Equal(t, `wrong Last-Event-ID: "12"; it is the id of an event`, detail)
	s.events("/topics/news", ann).close()
	s.await("no connection is left", func() bool { return s.Service().Counts.Open.Load() == 1 })
}

// await waits for what nothing announces.
func (s *site) await(what string, condition func() bool) {
	s.t.Helper()
	harness.Eventually(s.t, condition, what)
}

// A stream is a client like any other.
func TestAStreamIsAConnection(t *testing.T) {
	both(t, server.Options{RequirePassword: "secret"}, func(t *testing.T, s *site) {
		c := s.Dial(t)
		c.Send("AUTH secret\n")
		c.Expect("+OK\r\n")
		e := s.events("/topics/news", basic("default", "secret"))
		c.Command("CLIENT", "LIST", "TYPE", "PUBSUB")
		list, err := c.Frame()
		require.NoError(t, err)
		assert.Contains(t, string(list), "cmd=subscribe user=default")
		c.Command("PUBSUB", "NUMSUB", "news")
		c.Expect("*2\r\n$4\r\nnews\r\n:1\r\n")
		c.Command("CLIENT", "KILL", "TYPE", "PUBSUB")
		c.Expect(":1\r\n")
		_, err = e.in.ReadString('\n')
		assert.Error(t, err, "the stream ends")
		s.await("it is gone", func() bool { return s.Service().Counts.Open.Load() == 1 })
	})
}

// A stream that loses its rights gets the reason.
func TestAStreamThatLosesItsRights(t *testing.T) {
	both(t, server.Options{}, func(t *testing.T, s *site) {
		c := s.Dial(t)
		c.Command("ACL", "SETUSER", "ann", "on", ">pw", "allchannels", "+@all")
		c.Expect("+OK\r\n")
		e := s.events("/topics/news", basic("ann", "pw"))
		c.Command("ACL", "DELUSER", "ann")
		c.Expect(":1\r\n")
		assert.Equal(t, "event: closing\n"+`data: {"event":"closing","reason":"rights","error":"closing connection: user deleted or permission for a subscribed topic revoked"}`+"\n\n", e.next())
	})
}

// An unread stream is a slow subscriber: it loses messages by its policy, or the connection.
func TestUnreadStreams(t *testing.T) {
	payload := strings.Repeat("x", 100_000)
	publish := func(t *testing.T, s *site, times int) {
		c := s.Dial(t)
		for range times {
			c.Command("PUBLISH", "news", payload)
			_, err := c.Frame()
			require.NoError(t, err)
		}
	}
	t.Run("disconnect", func(t *testing.T) {
		both(t, server.Options{SlowHard: 1 << 20}, func(t *testing.T, s *site) {
			e := s.events("/topics/news")
			publish(t, s, 200)
			s.await("it is not evicted", func() bool { return s.Info(t, "ended_slow_hard") == 1 })
			received := 0
			for {
				line, err := e.in.ReadString('\n')
				if err != nil || strings.HasPrefix(line, "event: closing") {
					break
				}
				if strings.HasPrefix(line, "data: ") {
					received++
				}
			}
			assert.Less(t, received, 200)
		})
	})
	for _, policy := range []outbox.Policy{outbox.DropNewest, outbox.DropOldest} {
		t.Run(policy.String(), func(t *testing.T) {
			both(t, server.Options{SlowHard: 1 << 20, SlowConsumer: policy}, func(t *testing.T, s *site) {
				e := s.events("/topics/news")
				publish(t, s, 200)
				received, missed := 0, 0
				for received+missed < 200 {
					text := e.next()
					var count int
					if n, _ := fmt.Sscanf(text, "event: missed\ndata: {\"event\":\"missed\",\"name\":\"news\",\"count\":%d}", &count); n == 1 {
						missed += count
						continue
					}
					require.Contains(t, text, payload)
					received++
				}
				assert.Equal(t, 200, received+missed)
				assert.Positive(t, missed)
			})
		})
	}
}

// The end of the server ends all streams, read or not.
func TestStreamsEndWithTheServer(t *testing.T) {
	both(t, server.Options{DrainTimeout: time.Second}, func(_ *testing.T, s *site) {
		e := s.events("/topics/news")
		s.stop()
		_, err := e.in.ReadString('\n')
		assert.Error(s.t, err)
	})
}

// A client that goes away leaves nothing behind.
func TestGoneStreams(t *testing.T) {
	both(t, server.Options{}, func(t *testing.T, s *site) {
		for range 20 {
			s.events("/topics/news").close()
		}
		s.await("all are gone", func() bool { return s.Service().Counts.Open.Load() == 0 })
		c := s.Dial(t)
		c.Command("PUBLISH", "news", "x")
		c.Expect(":0\r\n")
	})
}

// What a client sends on its stream is no request.
func TestAStreamReadsNothing(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	sock, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	c := harness.Use(t, sock)
	c.Send("GET /topics/news HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /topics/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
	in := bufio.NewReader(c)
	for line := ""; line != "\r\n"; {
		line, err = in.ReadString('\n')
		require.NoError(t, err)
	}
	p := s.Dial(t)
	p.Command("PUBLISH", "news", "hi")
	p.Expect(":1\r\n")
	text := ""
	for !strings.HasSuffix(text, "hi\n\n") {
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		text += line
	}
	assert.NotContains(t, text, "HTTP")
}

// The requests for many topics, each with the predicate of the query, are never in memory all at once.
func TestAPredicateForManyTopics(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	path := "/events?where=" + strings.Repeat("a", 30<<10) + strings.Repeat("&topic=x", 4000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.expectProblem(s.request("GET", path, ""), http.StatusBadRequest)
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), "bytes; together they have 120 MB")
}

// A stream has the name that its query gives it, for those that look at connections.
func TestAStreamHasAName(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	s.events("/topics/news?name=board")
	assert.Contains(t, s.request("GET", "/topics/news/subscribers", "").body, `"name":"board"`)
	s.expectProblem(s.request("GET", "/topics/news?name=a%20b", ""), http.StatusBadRequest)
}

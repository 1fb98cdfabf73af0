package cli

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// publishLines publishes with PUB, and awaits the replies.
func publishLines(t *testing.T, s *harness.Server, lines ...string) {
	t.Helper()
	c := s.Dial(t)
	for _, line := range lines {
		c.Send("PUB %s\n", line)
		c.Expect("OK PUB " + strings.Fields(line)[0] + "\n")
	}
}

func TestSub(t *testing.T) {
	orders := []string{`orders.eu {"price": 50}`, `orders.us {"price": 150}`, `news {"price": 200}`}
	for _, c := range []struct {
		args  string
		names int
		want  string
	}{
		{"-n 1 news", 1, "news {\"price\": 200}\n"},
		{"-n 3 -p o* news", 2, "orders.eu {\"price\": 50}\norders.us {\"price\": 150}\nnews {\"price\": 200}\n"},
		{"-n 3 -p o*eu -p o*us news", 3, "orders.eu {\"price\": 50}\norders.us {\"price\": 150}\nnews {\"price\": 200}\n"},
		{"-n 2 --sequences -p * -w price>100", 1, "#2 orders.us {\"price\": 150}\n#3 news {\"price\": 200}\n"},
		{"-n 2 --raw -p o*", 1, "{\"price\": 50}\n{\"price\": 150}\n"},
		{"-jn 1 news", 1, "{\"event\":\"message\",\"topic\":\"news\",\"payload\":\"{\\\"price\\\": 200}\"}\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			s := harness.Start(t, server.Options{})
			r := begin(t, s.Addr, append([]string{"sub"}, strings.Fields(c.args)...)...)
			listening(t, s.Addr, c.names)
			publishLines(t, s, orders...)
			r.ends(statusOK)
			assert.Equal(t, c.want, r.out.String())
			assert.Empty(t, r.err.String())
		})
	}
}

func TestSubTakesArgumentsForTopics(t *testing.T) {
	s := harness.Start(t, server.Options{})
	r := begin(t, s.Addr, "sub", "-n", "1", "a*")
	listening(t, s.Addr, 1)
	publishLines(t, s, "ab no", "a* yes")
	r.ends(statusOK)
	assert.Equal(t, "a* yes\n", r.out.String())
	assert.Equal(t, "conch: sub: a* is taken for one topic; patterns are given with --pattern\n", r.err.String())
}

// The time that is up ends a subscription, which is an error if messages were to be counted. Here it begins behind connecting, however long that takes.
func TestSubTimeout(t *testing.T) {
	s := harness.Start(t, server.Options{})
	for _, c := range []struct {
		count, status int
		stderr        string
	}{
		{0, statusOK, ""},
		{2, statusTimeout, "conch: sub: 0 of 2 messages came within 10ms\n"},
	} {
		conn, err := client.Dial(t.Context(), client.Options{Addresses: []string{s.Addr}, DialTimeout: harness.Patience})
		require.NoError(t, err)
		subscription, err := conn.Subscribe(t.Context(), client.Topic("news"))
		require.NoError(t, err)
		var out, stderr bytes.Buffer
		o := &subOptions{count: c.count, timeout: 10 * time.Millisecond}
		ctx, cancel := context.WithTimeoutCause(t.Context(), o.timeout, errTimeout)
		defer cancel()
		assert.Equal(t, c.status, report(o.listen(ctx, subscription, &out, &stderr), &stderr))
		assert.Empty(t, out.String())
		assert.Equal(t, c.stderr, stderr.String())
		require.NoError(t, conn.Close())
	}
}

func TestSubTimeoutOfConnecting(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	address := silent.Addr().String()
	for _, args := range []string{"news", "-n 1 news"} {
		r := begin(t, address, append([]string{"sub", "-t", "10ms"}, strings.Fields(args)...)...)
		r.ends(statusFailure)
		assert.Equal(t, "conch: sub: no answer from "+address+" within 10ms, the time of --timeout\n", r.err.String())
	}
}

func TestSubEndsByASignal(t *testing.T) {
	s := harness.Start(t, server.Options{})
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		r := begin(t, s.Addr, "sub", "news")
		listening(t, s.Addr, 1)
		publishLines(t, s, "news one")
		r.out.await(t, "news one\n") // nothing waits in a buffer while no message comes
		r.signals <- sig
		r.ends(signalStatus(sig))
		assert.Empty(t, r.err.String())
		listening(t, s.Addr, 0)
	}
}

func TestSubIsRefused(t *testing.T) {
	s := harness.Start(t, server.Options{})
	r := begin(t, s.Addr, "sub", "-w", "price >", "news")
	r.ends(statusFailure)
	assert.Equal(t, "conch: sub: cannot subscribe: ERR wrong predicate, column 8: the expression ends too early\n", r.err.String())

	r = begin(t, s.Addr, "sub", "news WHERE size > 3")
	r.ends(statusFailure)
	assert.Regexp(t, `^conch: sub: cannot subscribe: ERR .*; on the command line a predicate is given with --where, a position with --from or --last\n$`, r.err.String())

	r = begin(t, s.Addr, "sub", "-p", "n* WHERE size > 3")
	r.ends(statusUsage)
	assert.Equal(t, `conch: sub: the pattern "n* WHERE size > 3" has WHERE in it; use Where for a predicate, or write \WHERE `+
		"for those letters; on the command line a predicate is given with --where, a position with --from or --last; see conch sub --help\n", r.err.String())
}

// A topic may look as if it had a predicate.
func TestSubToATopicWithWhere(t *testing.T) {
	s := harness.Start(t, server.Options{})
	r := begin(t, s.Addr, "sub", "--raw", "-n", "1", "-p", `a \WHERE b`)
	listening(t, s.Addr, 1)
	begin(t, s.Addr, "pub", "a WHERE b", "hi").ends(statusOK)
	r.ends(statusOK)
	assert.Equal(t, "hi\n", r.out.String())
}

func TestSubComesBack(t *testing.T) {
	s := harness.Start(t, server.Options{})
	r := begin(t, s.Addr, "sub", "--json", "--sequences", "-n", "2", "news")
	listening(t, s.Addr, 1)
	publishLines(t, s, "news one")
	r.out.await(t, `"one"`)
	c := s.Dial(t)
	c.Send("CLIENT KILL TYPE pubsub\n")
	c.Expect(":1\r\n")
	r.out.await(t, `"event":"reconnected"`)
	publishLines(t, s, "news two")
	r.ends(statusOK)
	assert.Regexp(t, `^{"event":"message","topic":"news","payload":"one","epoch":"[0-9a-f]{16}","sequence":1,"previous":0}
{"event":"disconnected","error":"[^"]+"}
{"event":"reconnected","epoch":"[0-9a-f]{16}","same_epoch":true,"after":1,"before":1}
{"event":"message","topic":"news","payload":"two","epoch":"[0-9a-f]{16}","sequence":2,"previous":0}
$`, r.out.String())
	assert.Regexp(t, `^conch: sub: disconnected: .*; coming back
conch: sub: reconnected; nothing was missed
$`, r.err.String())
}

// If the server keeps messages, nothing is missed.
func TestSubResumes(t *testing.T) {
	s := harness.Start(t, server.Options{Recent: 1 << 20})
	r := begin(t, s.Addr, "sub", "--json", "-n", "2", "news")
	listening(t, s.Addr, 1)
	publishLines(t, s, "news one")
	r.out.await(t, `"one"`)
	c := s.Dial(t)
	c.Send("CLIENT KILL TYPE pubsub\nPUB news two\n")
	c.Expect(":1\r\nOK PUB news\n")
	r.ends(statusOK)
	assert.Regexp(t, `^{"event":"message","topic":"news","payload":"one"}
{"event":"disconnected","error":"[^"]+"}
{"event":"resumed","epoch":"[0-9a-f]{16}","after":1}
{"event":"message","topic":"news","payload":"two"}
$`, r.out.String())
	assert.Regexp(t, `^conch: sub: disconnected: .*; coming back
conch: sub: reconnected; what was published behind sequence number 1 follows
$`, r.err.String())
}

// A subscription can begin in the past.
func TestSubFromThePast(t *testing.T) {
	s := harness.Start(t, server.Options{Recent: 1 << 20})
	publishLines(t, s, "news 1", "news 22", "orders 3", "news 333")
	for _, c := range []struct{ args, want string }{
		{"-n 3 --from 0 news", "news 1\nnews 22\nnews 333\n"},
		{"-n 2 --from #3 news orders", "orders 3\nnews 333\n"},
		{"-n 1 --last 1 -w size==2 news", "news 22\n"},
		{"-n 2 --last 2 -p *", "orders 3\nnews 333\n"},
		{"-n 2 --sequences --from -1h -p n* -w size>1", "#2 news 22\n#4 news 333\n"},
	} {
		r := begin(t, s.Addr, append([]string{"sub"}, strings.Fields(c.args)...)...)
		r.ends(statusOK)
		assert.Equal(t, c.want, r.out.String(), c.args)
		assert.Empty(t, r.err.String(), c.args)
	}
	r := begin(t, s.Addr, "sub", "--from", "yesterday", "news")
	r.ends(statusFailure)
	assert.Contains(t, r.err.String(), `conch: sub: cannot subscribe: ERR "yesterday" is no position`)
	r = begin(t, s.Addr, "sub", "--from", "0", "--last", "2", "news")
	r.ends(statusUsage)
	assert.Equal(t, "conch: sub: --from and --last exclude each other; see conch sub --help\n", r.err.String())
	none := harness.Start(t, server.Options{})
	r = begin(t, none.Addr, "sub", "--last", "2", "news")
	r.ends(statusFailure)
	assert.Contains(t, r.err.String(), "no messages are kept here for LAST 2; start conch with --recent 64MiB\n")
}

// A reader that closes the pipe has read enough: no failure, no message.
func TestSubEndsWithoutAReader(t *testing.T) {
	s := harness.Start(t, server.Options{})
	from, to := io.Pipe()
	ended := make(chan int, 1)
	var stderr screen
	go func() { ended <- run([]string{"conch", "sub", "-u", s.Addr, "news"}, nothing, nil, to, &stderr, nil) }()
	listening(t, s.Addr, 1)
	publishLines(t, s, "news one")
	first := make([]byte, len("news one\n"))
	_, err := io.ReadFull(from, first)
	require.NoError(t, err)
	require.NoError(t, from.Close())
	publishLines(t, s, "news two")
	assert.Equal(t, statusOK, <-ended)
	assert.Empty(t, stderr.String())
}

// It ends at once, not when the next message comes.
func TestSubNoticesAClosedPipe(t *testing.T) {
	s := harness.Start(t, server.Options{})
	from, to, err := os.Pipe()
	require.NoError(t, err)
	defer func() { _ = to.Close() }()
	ended := make(chan int, 1)
	var stderr screen
	go func() { ended <- run([]string{"conch", "sub", "-u", s.Addr, "news"}, nothing, nil, to, &stderr, nil) }()
	listening(t, s.Addr, 1)
	require.NoError(t, from.Close())
	assert.Equal(t, statusOK, <-ended)
	assert.Empty(t, stderr.String())
}

func TestSubWhenOutputFails(t *testing.T) {
	s := harness.Start(t, server.Options{})
	ended := make(chan int, 1)
	var stderr screen
	go func() {
		ended <- run([]string{"conch", "sub", "-u", s.Addr, "news"}, nothing, nil, brokenWriter{}, &stderr, nil)
	}()
	listening(t, s.Addr, 1)
	publishLines(t, s, "news one")
	assert.Equal(t, statusFailure, <-ended)
	assert.Equal(t, "conch: cannot write: nobody reads\n", stderr.String())
}

package client

import (
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

var cutSeed = flag.Uint64("cut.seed", 0, "play only this seed of connections that are cut, as a failure printed it")

// showEntry writes an entry as "stream 1-2 name=value".
func showEntry(e *Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Stream, e.ID)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, " %s=%s", f.Name, f.Value)
	}
	return b.String()
}

// collect runs a loop up to most entries, or to its end.
func collect(all iter.Seq2[*Entry, error], most int) (shown []string, err error) {
	for e, err := range all {
		if err != nil {
			return shown, err
		}
		if shown = append(shown, showEntry(e)); len(shown) == most {
			break
		}
	}
	return shown, nil
}

// scripted is a reply of entries with one field, as a line of a script.
func scripted(ids ...string) string {
	line := fmt.Sprintf("*%d", len(ids))
	for _, id := range ids {
		line += fmt.Sprintf("|*2|$%d|%s|*2|$1|f|$1|v", len(id), id)
	}
	return line
}

const (
	first  = "> XRANGE s 0-0 18446744073709551615-18446744073709551615 COUNT 256\n< "
	behind = "> XRANGE s (1-1 18446744073709551615-18446744073709551615 COUNT 256\n< "
)

// What a loop over a scripted server yields. Each script is a connection.
func TestRangeOverScripts(t *testing.T) {
	tests := []struct {
		sentence string
		scripts  []string
		shown    []string
		fails    string // part of the error
	}{
		{"no stream", []string{first + "*0"}, nil, ""},
		{"two entries", []string{first + scripted("1-1", "2-1")}, []string{"s 1-1 f=v", "s 2-1 f=v"}, ""},
		{"a close notice before the reply", []string{first + ">3|$7|closing|$4|stop|$3|bye|*0"}, nil, ""},
		{
			"a break behind an entry", []string{first + "*2|*2|$3|1-1|*2|$1|f|$1|v", behind + scripted("2-1")},
			[]string{"s 1-1 f=v", "s 2-1 f=v"}, "",
		},
		{
			"a break within an entry", []string{first + scripted("1-1")[:2] + "|*2|$3|1-1|*2|$1|f", first + scripted("1-1")},
			nil, "unexpected EOF", // the first connection has brought nothing
		},
		{"a break before the reply", []string{strings.TrimSuffix(first, "< ")}, nil, "EOF"},
		{"a refusal", []string{first + "-WRONGTYPE no"}, nil, "WRONGTYPE no"},
		{"a refusal after a break", []string{first + "*2|*2|$3|1-1|*2|$1|f|$1|v", behind + "-NOPERM no"}, []string{"s 1-1 f=v"}, "NOPERM no"},
		{
			"loading after a break", []string{first + "*2|*2|$3|1-1|*2|$1|f|$1|v", behind + "-LOADING", behind + "*0"},
			[]string{"s 1-1 f=v"}, "",
		},
		{"a count", []string{first + ":1"}, nil, "malformed"},
		{"null", []string{first + "_"}, nil, "malformed"},
		{"a null in place of an entry", []string{first + "*1|*-1"}, nil, "malformed"},
		{"an id that is none", []string{first + scripted("x")}, nil, "malformed"},
		{"an id that is a number", []string{first + "*1|*2|:1|*2|$1|f|$1|v"}, nil, "malformed"},
		{"a name without its value", []string{first + "*1|*2|$3|1-1|*1|$1|f"}, nil, "malformed"},
		{"an entry without fields", []string{first + "*1|*2|$3|1-1|*0"}, nil, "malformed"},
		{"a number in a field", []string{first + "*1|*2|$3|1-1|*2|$1|f|:1"}, nil, "malformed"},
		{"three elements", []string{first + "*1|*3|$3|1-1|*2|$1|f|$1|v|:1"}, nil, "malformed"},
		{"the same id twice", []string{first + scripted("1-1", "1-1")}, []string{"s 1-1 f=v"}, "malformed"},
		{"an id that goes back", []string{first + scripted("2-1", "1-1")}, []string{"s 2-1 f=v"}, "malformed"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				scripts := []string{resp3 + "hang"} // of Dial
				for _, script := range test.scripts {
					scripts = append(scripts, resp3+script)
				}
				_, o := serve(t, scripts...)
				c, err := Dial(t.Context(), o)
				require.NoError(t, err)
				shown, err := collect(c.Range(t.Context(), "s", Span{}), -1)
				assert.Equal(t, test.shown, shown)
				if test.fails == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, test.fails)
				}
				require.NoError(t, c.Close())
			})
		})
	}
}

func TestSpans(t *testing.T) {
	a, b := EntryID{1, 2}, EntryID{3, 4}
	for _, test := range []struct {
		span           Span
		command, after string
	}{
		{Span{From: a, To: b}, "XRANGE s 1-2 3-4 COUNT 256", "XRANGE s (2-0 3-4 COUNT 256"},
		{Span{From: a, To: b, Backwards: true}, "XREVRANGE s 3-4 1-2 COUNT 256", "XREVRANGE s (2-0 1-2 COUNT 256"},
		{
			Span{Backwards: true},
			"XREVRANGE s 18446744073709551615-18446744073709551615 0-0 COUNT 256", "XREVRANGE s (2-0 0-0 COUNT 256",
		},
	} {
		p := &spanPages{stream: "s", span: test.span}
		assert.Equal(t, test.command, strings.Join(p.request(nil), " "))
		p.last = EntryID{2, 0}
		assert.Equal(t, test.after, strings.Join(p.request(nil), " "))
	}
}

// wait is a request of Read with the default PingAfter.
func wait(streams, after string) string {
	return "> XREAD COUNT 256 BLOCK 30000 STREAMS " + streams + " " + after + "\n"
}

func TestReadOverScripts(t *testing.T) {
	var (
		oneOfS = "< %1|$1|s|" + scripted("1-1") + "\n"
		oneOf2 = "< *1|*2|$1|s|" + scripted("1-1") + "\n" // RESP2
	)
	tests := []struct {
		sentence string
		shake    string
		scripts  []string
		from     []Cursor
		shown    []string
		fails    string
	}{
		{"from the beginning", resp3, []string{wait("s", "0-0") + oneOfS}, []Cursor{After("s", EntryID{})}, []string{"s 1-1 f=v"}, ""},
		{"in RESP2", resp2, []string{wait("s", "0-0") + oneOf2}, []Cursor{After("s", EntryID{})}, []string{"s 1-1 f=v"}, ""},
		{
			"after waits without an entry", resp3, []string{wait("s", "0-9") + "< _\n" + wait("s", "0-9") + "< *-1\n" + wait("s", "0-9") + oneOfS},
			[]Cursor{After("s", EntryID{0, 9})}, []string{"s 1-1 f=v"}, "",
		},
		{
			"two streams", resp3,
			[]string{wait("s t", "0-0 0-5") + "< %2|$1|s|" + scripted("1-1") + "|$1|t|" + scripted("0-7") + "\n" +
				wait("s t", "1-1 0-7") + "< %1|$1|t|" + scripted("1-1")},
			[]Cursor{After("s", EntryID{}), After("t", EntryID{0, 5})}, []string{"s 1-1 f=v", "t 0-7 f=v", "t 1-1 f=v"}, "",
		},
		{
			"from now", resp3,
			[]string{"> XREVRANGE s + - COUNT 1\n< " + scripted("0-9") + "\n> XREVRANGE t + - COUNT 1\n< *0\n" + wait("s t", "0-9 0-0") + oneOfS},
			[]Cursor{FromNow("s"), FromNow("t")}, []string{"s 1-1 f=v"}, "",
		},
		{
			"from now, with a break before the first entry", resp3,
			[]string{"> XREVRANGE s + - COUNT 1\n< " + scripted("0-9") + "\n" + wait("s", "0-9") + "< _\n", wait("s", "0-9") + oneOfS},
			[]Cursor{FromNow("s")}, []string{"s 1-1 f=v"}, "",
		},
		{
			"with a break between two streams", resp3,
			[]string{wait("s t", "0-0 0-0") + "< %2|$1|s|" + scripted("1-1"), wait("s t", "1-1 0-0") + "< %1|$1|t|" + scripted("1-1")},
			[]Cursor{After("s", EntryID{}), After("t", EntryID{})}, []string{"s 1-1 f=v", "t 1-1 f=v"}, "",
		},
		{
			"through a refused connection", resp3,
			[]string{wait("s", "0-0") + "< %1|$1|s|*2|*2|$3|0-1|*2|$1|f|$1|v", wait("s", "0-1") + "< -LOADING\n", wait("s", "0-1") + oneOfS},
			[]Cursor{After("s", EntryID{})}, []string{"s 0-1 f=v", "s 1-1 f=v"}, "",
		},
		{
			"until it is refused", resp3, []string{wait("s", "0-0") + "< _\n" + wait("s", "0-0") + "< -UNBLOCKED no\n"},
			[]Cursor{After("s", EntryID{})}, nil, "UNBLOCKED no",
		},
		{"nothing", resp3, nil, nil, nil, "nothing to read"},
		{"a stream twice", resp3, nil, []Cursor{After("s", EntryID{}), FromNow("s")}, nil, "named twice"},
		{"an entry of before", resp3, []string{wait("s", "1-1") + oneOfS}, []Cursor{After("s", EntryID{1, 1})}, nil, "malformed"},
		{"another stream", resp3, []string{wait("t", "0-0") + oneOfS}, []Cursor{After("t", EntryID{})}, nil, "malformed"},
		{"a count", resp3, []string{wait("s", "0-0") + "< :1\n"}, []Cursor{After("s", EntryID{})}, nil, "malformed"},
		{"a list of streams", resp3, []string{wait("s", "0-0") + "< *1|$1|s\n"}, []Cursor{After("s", EntryID{})}, nil, "malformed"},
		{"a stream without entries", resp3, []string{wait("s", "0-0") + "< %1|$1|s|_\n"}, []Cursor{After("s", EntryID{})}, nil, "malformed"},
		{"two last entries", resp3, []string{"> XREVRANGE s + - COUNT 1\n< *2"}, []Cursor{FromNow("s")}, nil, "malformed"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				scripts := []string{resp3 + "hang"} // of Dial
				for _, script := range test.scripts {
					scripts = append(scripts, test.shake+script)
				}
				_, o := serve(t, scripts...)
				c, err := Dial(t.Context(), o)
				require.NoError(t, err)
				most := len(test.shown)
				if test.fails != "" {
					most = -1
				}
				shown, err := collect(c.Read(t.Context(), test.from...), most)
				assert.Equal(t, test.shown, shown)
				if test.fails == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, test.fails)
				}
				require.NoError(t, c.Close())
			})
		})
	}
}

// A wait ends with its ctx, with Close, and when the server is silent for longer than it was told to wait.
func TestEndOfWait(t *testing.T) {
	for _, test := range []struct {
		sentence string
		end      func(c *Client, cancel func())
		cause    error
		after    time.Duration
	}{
		{"canceled", func(_ *Client, cancel func()) { cancel() }, context.Canceled, 0},
		{"closed", func(c *Client, _ func()) { _ = c.Close() }, ErrClosed, 0},
		{"silent", func(*Client, func()) {}, ErrPingTimeout, time.Minute},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, o := serve(t, resp3+"hang", resp3+wait("s", "0-0")+"hang")
				c, err := Dial(t.Context(), o)
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				began, done := time.Now(), make(chan error, 1)
				go func() {
					_, err := collect(c.Read(ctx, After("s", EntryID{})), -1)
					done <- err
				}()
				synctest.Wait()
				test.end(c, cancel)
				require.ErrorIs(t, <-done, test.cause)
				assert.Equal(t, test.after, time.Since(began))
				require.NoError(t, c.Close())
			})
		})
	}
}

// A loop that its body leaves closes its connection, and may be run again.
func TestLoopIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := resp3 + first + scripted("1-1", "2-1") + "\nhang"
		_, o := serve(t, resp3+"hang", script, script)
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		all := c.Range(t.Context(), "s", Span{})
		for range 2 {
			shown, err := collect(all, 1)
			require.NoError(t, err)
			assert.Equal(t, []string{"s 1-1 f=v"}, shown)
		}
		require.NoError(t, c.Close())
	})
}

func TestLoopsOfAClosedClient(t *testing.T) {
	_, o := serve(t, resp3+"hang")
	c, err := Dial(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	_, err = collect(c.Range(t.Context(), "s", Span{}), -1)
	require.ErrorIs(t, err, ErrClosed)
	_, err = collect(c.Read(t.Context(), FromNow("s")), -1)
	require.ErrorIs(t, err, ErrClosed)
	_, err = c.Append(t.Context(), "s", []Field{{"f", "v"}})
	require.ErrorIs(t, err, ErrClosed)
}

// cutConn is a connection that breaks after so many bytes.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err //nolint:wrapcheck // as the socket
}

// streamServers are those that the tests below run against.
func streamServers(t *testing.T) map[string]Options {
	o, err := ParseURL(redis(t))
	require.NoError(t, err)
	return map[string]Options{"redis": o, "conch": {Addr: harness.Start(t, server.Options{}).Addr}}
}

// Wherever connections break, each entry comes once, in its order.
func TestEntriesOverCutConnections(t *testing.T) {
	for name, o := range streamServers(t) {
		t.Run(name, func(t *testing.T) {
			seed := *cutSeed
			if seed == 0 {
				seed = testseed.New()
			}
			random := rand.New(rand.NewPCG(seed, 0))
			defer func() {
				if t.Failed() {
					t.Logf("-cut.seed=%d", seed)
				}
			}()
			c, err := Dial(t.Context(), o)
			require.NoError(t, err)
			defer c.Close()
			var all [2][]string
			for i := range 600 {
				stream := random.IntN(2)
				fields := []Field{{"n", fmt.Sprint(i)}, {"n", strings.Repeat("x", random.IntN(50))}}
				id, err := c.Append(t.Context(), fmt.Sprint(stream), fields)
				require.NoError(t, err)
				all[stream] = append(all[stream], showEntry(&Entry{Stream: fmt.Sprint(stream), ID: id, Fields: fields}))
			}
			// Connections behind the client's break; the first of them after at least one entry.
			dialCut := func() (cut *Client, dials *int) {
				o, dials := o, new(int)
				o.MinBackoff, o.MaxBackoff = time.Nanosecond, time.Nanosecond
				o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
					sock, err := new(net.Dialer).DialContext(ctx, network, addr)
					*dials++
					switch {
					case *dials == 1 || err != nil:
						return sock, err
					case *dials == 2:
						return &cutConn{sock, 2000 + random.IntN(4000)}, nil
					}
					return &cutConn{sock, random.IntN(6000)}, nil
				}
				cut, err := Dial(t.Context(), o)
				require.NoError(t, err)
				t.Cleanup(func() { _ = cut.Close() }) // always nil
				return cut, dials
			}
			for _, backwards := range []bool{false, true} {
				cut, dials := dialCut()
				got, err := collect(cut.Range(t.Context(), "0", Span{Backwards: backwards}), -1)
				require.NoError(t, err)
				if backwards {
					slices.Reverse(got)
				}
				assert.Equal(t, all[0], got)
				assert.Greater(t, *dials, 2)
			}
			cut, dials := dialCut()
			both, err := collect(cut.Read(t.Context(), After("0", EntryID{}), After("1", EntryID{})), 600)
			require.NoError(t, err)
			var got [2][]string
			for _, e := range both {
				stream := e[0] - '0'
				got[stream] = append(got[stream], e)
			}
			assert.Equal(t, all, got)
			assert.Greater(t, *dials, 2)
		})
	}
}

func TestStreams(t *testing.T) {
	for name, o := range streamServers(t) {
		t.Run(name, func(t *testing.T) {
			c, err := Dial(t.Context(), o)
			require.NoError(t, err)
			defer c.Close()
			ctx := t.Context()
			ids := appendNumbers(t, c, "numbers", 1000)

			forwards, err := collect(c.Range(ctx, "numbers", Span{}), -1)
			require.NoError(t, err)
			require.Len(t, forwards, 1000)
			assert.Equal(t, "numbers "+ids[999].String()+" n=999", forwards[999])
			part, err := collect(c.Range(ctx, "numbers", Span{From: ids[300], To: ids[700]}), -1)
			require.NoError(t, err)
			assert.Equal(t, forwards[300:701], part)
			backwards, err := collect(c.Range(ctx, "numbers", Span{From: ids[300], To: ids[700], Backwards: true}), -1)
			require.NoError(t, err)
			require.Len(t, backwards, 401)
			for i := range backwards {
				require.Equal(t, part[400-i], backwards[i])
			}
			none, err := collect(c.Range(ctx, "nothing", Span{}), -1)
			require.NoError(t, err)
			assert.Empty(t, none)

			odd := []Field{{"", ""}, {"a", "\x00\r\n\xff"}, {"a", strings.Repeat("long", 100_000)}}
			id, err := c.Append(ctx, "odd", odd, WithID(EntryID{5, 7}))
			require.NoError(t, err)
			assert.Equal(t, EntryID{5, 7}, id)
			for e, err := range c.Range(ctx, "odd", Span{}) {
				require.NoError(t, err)
				assert.Equal(t, &Entry{Stream: "odd", ID: id, Fields: odd}, e)
			}
			_, err = c.Append(ctx, "odd", odd, WithID(EntryID{5, 7}))
			serverErr := (*Error)(nil)
			require.ErrorAs(t, err, &serverErr)
			assert.Equal(t, CodeErr, serverErr.Code)
			_, err = c.Append(ctx, "numbers", odd, MaxLen(0))
			require.NoError(t, err)
		})
	}
}

// appendNumbers appends the numbers up to n, and returns their ids.
func appendNumbers(t *testing.T, c *Client, stream string, n int) (ids []EntryID) {
	t.Helper()
	for i := range n {
		id, err := c.Append(t.Context(), stream, []Field{{"n", fmt.Sprint(i)}})
		require.NoError(t, err)
		if i > 0 {
			require.Negative(t, ids[i-1].Compare(id), "ids ascend")
		}
		ids = append(ids, id)
	}
	return ids
}

// Entries come while they are appended, and go on after a connection is killed.
func TestReadWaits(t *testing.T) {
	for name, o := range streamServers(t) {
		t.Run(name, func(t *testing.T) {
			o.MinBackoff, o.MaxBackoff = time.Millisecond, time.Millisecond
			o.PingAfter = 20 * time.Millisecond // waits without an entry end often
			o.Dialer = dialHasty                // a late reply breaks no connection: the append would come twice
			c, err := Dial(t.Context(), o)
			require.NoError(t, err)
			defer c.Close()
			admin, err := o.withDefaults()
			require.NoError(t, err)
			appendNumbers(t, c, "old", 3)
			appendUntilDone(t, c, "new", "0")
			next := 0
			for e, err := range c.Read(t.Context(), FromNow("old"), After("new", EntryID{})) {
				require.NoError(t, err)
				require.Equal(t, fmt.Sprint(next), e.Get("n"))
				if next++; next == 30 {
					break
				}
				if next%10 == 0 {
					w, err := admin.dial(t.Context())
					require.NoError(t, err)
					require.NoError(t, w.do("CLIENT", "KILL", "TYPE", "normal"))
					require.NoError(t, w.Close())
				}
				appendUntilDone(t, c, []string{"old", "new"}[next%2], fmt.Sprint(next))
			}
		})
	}
}

// appendUntilDone appends over a connection that may have been killed, while nothing is in flight.
func appendUntilDone(t *testing.T, c *Client, stream, n string) {
	t.Helper()
	for {
		_, err := c.Append(t.Context(), stream, []Field{{"n", n}})
		if err == nil {
			return
		}
		require.NoError(t, t.Context().Err())
	}
}

// Idempotent appends come in once each, wherever their connections break.
func TestIdempotentAppendsOverCutConnections(t *testing.T) {
	o := Options{Addr: harness.Start(t, server.Options{}).Addr, MinBackoff: time.Nanosecond, MaxBackoff: time.Nanosecond}
	seed := *cutSeed
	if seed == 0 {
		seed = testseed.New()
	}
	t.Logf("-cut.seed=%d", seed)
	direct, err := Dial(t.Context(), o)
	require.NoError(t, err)
	defer direct.Close()

	var dials atomic.Uint64
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		sock, err := new(net.Dialer).DialContext(ctx, network, addr)
		number := dials.Add(1)
		left := rand.New(rand.NewPCG(seed, number)).IntN(3000)
		if number == 1 {
			left += 1000 // the first handshake must succeed
		}
		return &cutConn{sock, left}, err
	}
	c, err := Dial(t.Context(), o)
	require.NoError(t, err)
	defer c.Close()
	const appenders, each = 8, 100
	var ids [appenders][each]EntryID
	var tasks sync.WaitGroup
	for a := range appenders {
		tasks.Go(func() {
			for i := range each {
				n := fmt.Sprint(i)
				var err error
				for ids[a][i].IsZero() { // a connection that breaks before a key is sent is an error of its own
					ids[a][i], err = c.Append(t.Context(), "s", []Field{{"a", fmt.Sprint(a)}, {"i", n}}, Idempotent(fmt.Sprint(a), n))
					if t.Context().Err() != nil {
						assert.NoError(t, err, "the test has ended")
						return
					}
				}
			}
		})
	}
	tasks.Wait()
	var next [appenders]int
	for e, err := range direct.Range(t.Context(), "s", Span{}) {
		require.NoError(t, err)
		var a, i int
		_, err := fmt.Sscan(e.Get("a")+" "+e.Get("i"), &a, &i)
		require.NoError(t, err)
		require.Equal(t, next[a], i, "each once, in the order of its appender")
		require.Equal(t, ids[a][i], e.ID)
		next[a]++
	}
	for a := range appenders {
		assert.Equal(t, each, next[a])
	}
	assert.Greater(t, dials.Load(), uint64(2))
}

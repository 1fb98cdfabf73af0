package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

// showDelivery writes a delivery as "1-2 name=value", with how often and how long if it was claimed.
func showDelivery(d *Delivery) string {
	shown := showEntry(&d.Entry)
	if d.Before > 0 {
		shown += fmt.Sprintf(" before=%d idle=%s", d.Before, d.Idle)
	}
	return shown
}

// consume runs the loop of a consumer up to most deliveries, or to its end.
func consume(ctx context.Context, k *Consumer, most int) (shown []string, err error) {
	if most == 0 {
		return nil, nil
	}
	for d, err := range k.All(ctx) {
		if err != nil {
			return shown, err
		}
		if shown = append(shown, showDelivery(d)); len(shown) == most {
			break
		}
	}
	return shown, nil
}

// history and fresh are requests of the consumer c, of its pending entries behind an id, and of new ones. of is a reply to either.
func history(after string) string {
	return "> XREADGROUP GROUP g c COUNT 10 STREAMS s " + after + "\n< "
}

const fresh = "> XREADGROUP GROUP g c COUNT 10 BLOCK 30000 STREAMS s >\n< "

func of(entries string) string { return "%1|$1|s|" + entries + "\n" }

// What a loop over a scripted server yields. Each script is a connection.
func TestConsumerOverScripts(t *testing.T) {
	none := history("0-0") + of("*0")
	claims := "> XREADGROUP GROUP g c COUNT 10 CLAIM 60000 BLOCK 30000 STREAMS s >\n< "
	tests := []struct {
		sentence string
		options  ConsumerOptions
		scripts  []string
		shown    []string
		fails    string // part of the error
	}{
		{"new entries", ConsumerOptions{}, []string{none + fresh + of(scripted("1-1", "2-1"))}, []string{"s 1-1 f=v", "s 2-1 f=v"}, ""},
		{"a wait without an entry", ConsumerOptions{}, []string{none + fresh + "_\n" + fresh + of(scripted("1-1"))}, []string{"s 1-1 f=v"}, ""},
		{
			"what is pending comes first", ConsumerOptions{},
			[]string{history("0-0") + of(scripted("1-1")) + history("1-1") + of(scripted("2-1")) + history("2-1") + of("*0") + fresh + of(scripted("3-1"))},
			[]string{"s 1-1 f=v", "s 2-1 f=v", "s 3-1 f=v"}, "",
		},
		{
			"an entry that was deleted", ConsumerOptions{},
			[]string{history("0-0") + of("*2|*2|$3|1-1|*-1|*2|$3|2-1|*2|$1|f|$1|v")}, []string{"s 1-1", "s 2-1 f=v"}, "",
		},
		{
			"what was delivered and not yielded comes again", ConsumerOptions{},
			[]string{
				none + fresh + "%1|$1|s|*2|*2|$3|1-1|*2|$1|f|$1|v",
				history("0-0") + of(scripted("1-1", "2-1")) + history("2-1") + of("*0") + fresh + of(scripted("3-1")),
			},
			[]string{"s 1-1 f=v", "s 2-1 f=v", "s 3-1 f=v"}, "",
		},
		{
			"what was delivered over a lost connection behind the history comes after a wait", ConsumerOptions{},
			[]string{
				none + fresh + "%1|$1|s",
				none + fresh + "_\n" + history("0-0") + of(scripted("1-1")) + history("1-1") + of("*0") + fresh + of(scripted("2-1")),
			},
			[]string{"s 1-1 f=v", "s 2-1 f=v"}, "",
		},
		{
			"claimed entries", ConsumerOptions{ClaimAfter: time.Minute},
			[]string{none + claims + of("*2|*4|$3|1-1|*2|$1|f|$1|v|:70000|:2|*4|$3|2-1|*2|$1|f|$1|v|:0|:0")},
			[]string{"s 1-1 f=v before=2 idle=1m10s", "s 2-1 f=v"}, "",
		},
		{
			"an entry that is claimed once more", ConsumerOptions{ClaimAfter: time.Minute},
			[]string{none + claims + of("*1|*4|$3|1-1|*2|$1|f|$1|v|:0|:0") + claims + of("*1|*4|$3|1-1|*2|$1|f|$1|v|:60000|:1")},
			[]string{"s 1-1 f=v", "s 1-1 f=v before=1 idle=1m0s"}, "",
		},
		{"RESP2", ConsumerOptions{}, []string{history("0-0") + "*1|*2|$1|s|*0\n" + fresh + "*1|*2|$1|s|" + scripted("1-1") + "\n"}, []string{"s 1-1 f=v"}, ""},
		{"no group", ConsumerOptions{}, []string{history("0-0") + "-NOGROUP no"}, nil, "NOGROUP no"},
		{"the end of the group", ConsumerOptions{}, []string{none + fresh + "-NOGROUP no"}, nil, "NOGROUP no"},
		{
			"no memory for a while", ConsumerOptions{}, []string{none + fresh + "-OOM no\n", none + fresh + of(scripted("1-1"))},
			[]string{"s 1-1 f=v"}, "",
		},
		{"a count below zero", ConsumerOptions{Count: -1}, nil, nil, "must not be negative"},
		{"a time below zero", ConsumerOptions{ClaimAfter: -1}, nil, nil, "must not be negative"},
		{"another stream", ConsumerOptions{}, []string{history("0-0") + "%1|$1|t|*0"}, nil, "malformed"},
		{"two streams", ConsumerOptions{}, []string{history("0-0") + "%2|$1|s|*0|$1|t|*0"}, nil, "malformed"},
		{"a count", ConsumerOptions{}, []string{history("0-0") + ":1"}, nil, "malformed"},
		{"a list of streams", ConsumerOptions{}, []string{history("0-0") + "*1|$1|s"}, nil, "malformed"},
		{"no entries", ConsumerOptions{}, []string{history("0-0") + of("_")}, nil, "malformed"},
		{"three elements", ConsumerOptions{}, []string{history("0-0") + of("*1|*3|$3|1-1|*2|$1|f|$1|v|:1")}, nil, "malformed"},
		{"counts that are texts", ConsumerOptions{}, []string{history("0-0") + of("*1|*4|$3|1-1|*2|$1|f|$1|v|$1|1|$1|1")}, nil, "malformed"},
		{"a deleted entry without an id", ConsumerOptions{}, []string{history("0-0") + of("*1|*2|$1|x|*-1")}, nil, "malformed"},
		{"a history that goes back", ConsumerOptions{}, []string{history("0-0") + of(scripted("2-1", "1-1"))}, []string{"s 2-1 f=v"}, "malformed"},
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
				most := len(test.shown)
				if test.fails != "" {
					most = -1
				}
				shown, err := consume(t.Context(), c.Consumer("s", "g", "c", test.options), most)
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

// Ack and CreateGroup are sent until their outcome is known, Release once.
func TestCommandsOfGroups(t *testing.T) {
	const (
		ack     = "> XACK s g 1-1 2-0\n"
		release = "> XNACK s g FAIL IDS 2 1-1 2-0\n"
		create  = "> XGROUP CREATE s g 5-0 MKSTREAM\n"
	)
	ids := []EntryID{{1, 1}, {2, 0}}
	call := map[string]func(ctx context.Context, c *Client) error{
		ack: func(ctx context.Context, c *Client) error {
			return c.Consumer("s", "g", "c", ConsumerOptions{}).Ack(ctx, ids...)
		},
		release: func(ctx context.Context, c *Client) error {
			return c.Consumer("s", "g", "c", ConsumerOptions{}).Release(ctx, ids...)
		},
		create: func(ctx context.Context, c *Client) error { return c.CreateGroup(ctx, "g", After("s", EntryID{Ms: 5})) },
		"> XGROUP CREATE s g $ MKSTREAM\n": func(ctx context.Context, c *Client) error {
			return c.CreateGroup(ctx, "g", FromNow("s"))
		},
	}
	tests := []struct {
		sentence, command string
		scripts           []string // behind the command, one for each connection
		fails             error
		text              string
	}{
		{"acknowledged", ack, []string{"< :2\nhang"}, nil, ""},
		{"after breaks", ack, []string{"", "", "< :0\nhang"}, nil, ""},
		{"while the server loads", ack, []string{"< -LOADING\n" + ack + "< :2\nhang"}, nil, ""},
		{"refused", ack, []string{"", "< -NOPERM no\nhang"}, &Error{}, "NOPERM no"},
		{"until the ctx ends", ack, []string{"", "hang"}, context.DeadlineExceeded, ""},
		{"until there is no server", ack, []string{""}, context.DeadlineExceeded, ""},
		{"a text in place of a count", ack, []string{"< $1|1\n", "< :2\nhang"}, nil, ""},
		{"released", release, []string{"< :2\nhang"}, nil, ""},
		{"released or not", release, []string{""}, ErrOutcomeUnknown, ""},
		{"no group to release from", release, []string{"< -NOGROUP no\nhang"}, &Error{}, "NOGROUP no"},
		{"a group", create, []string{"< +OK\nhang"}, nil, ""},
		{"a group that was made before the break", create, []string{"", "< -BUSYGROUP there is one\nhang"}, nil, ""},
		{"a group on what is no stream", create, []string{"< -WRONGTYPE no\nhang"}, &Error{}, "WRONGTYPE no"},
		{"a group from now on", "> XGROUP CREATE s g $ MKSTREAM\n", []string{"< +OK\nhang"}, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var scripts []string
				for _, script := range test.scripts {
					scripts = append(scripts, resp3+test.command+script)
				}
				_, o := serve(t, scripts...)
				o.random = func(n int64) int64 { return n - 1 } // the longest pauses, so that the time goes on
				c, err := Dial(t.Context(), o)
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err = call[test.command](ctx, c)
				switch {
				case test.fails == nil:
					require.NoError(t, err)
				case test.text != "":
					serverErr := (*Error)(nil)
					require.ErrorAs(t, err, &serverErr)
					require.EqualError(t, serverErr, test.text)
				default:
					require.ErrorIs(t, err, test.fails)
				}
				require.NoError(t, c.Close())
			})
		})
	}
}

// The end of the client ends an Ack that is repeated.
func TestAckOfAClosedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"hang")
		o.random = func(n int64) int64 { return n - 1 }
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- c.Consumer("s", "g", "c", ConsumerOptions{}).Ack(t.Context(), EntryID{1, 1}) }()
		synctest.Wait()
		require.NoError(t, c.Close())
		require.Error(t, <-done)
	})
}

// Consumers share a stream: each entry goes to one of them, and a released one to another.
func TestConsumers(t *testing.T) {
	c := connect(t, Options{Addr: harness.Start(t, server.Options{}).Addr})
	ids := appendNumbers(t, c, "s", 6)
	require.NoError(t, c.CreateGroup(t.Context(), "g", After("s", ids[0])))
	require.NoError(t, c.CreateGroup(t.Context(), "g", FromNow("s")), "it is there")
	ann, bob := c.Consumer("s", "g", "ann", ConsumerOptions{Count: 2}), c.Consumer("s", "g", "bob", ConsumerOptions{ClaimAfter: time.Hour})
	of := func(n int, id EntryID) string { return fmt.Sprintf("s %s n=%d", id, n) }
	shown, err := consume(t.Context(), ann, 1)
	require.NoError(t, err)
	assert.Equal(t, []string{of(1, ids[1])}, shown)
	shown, err = consume(t.Context(), bob, 3)
	require.NoError(t, err)
	assert.Equal(t, []string{of(3, ids[3]), of(4, ids[4]), of(5, ids[5])}, shown)
	require.NoError(t, bob.Ack(t.Context(), ids[3], ids[4]))
	require.NoError(t, bob.Ack(t.Context()))
	require.NoError(t, bob.Release(t.Context()))

	shown, err = consume(t.Context(), ann, 1)
	require.NoError(t, err)
	assert.Equal(t, []string{of(2, ids[2])}, shown, "the one that the loop has not yielded")
	require.NoError(t, ann.Release(t.Context(), ids[1]))
	for d, err := range bob.All(t.Context()) {
		require.NoError(t, err)
		assert.Equal(t, ids[1], d.ID)
		assert.Equal(t, 2, d.Before, "ann began twice")
		break
	}
	shown, err = consume(t.Context(), c.Consumer("s", "g", "bob", ConsumerOptions{}), 2)
	require.NoError(t, err)
	assert.Equal(t, []string{of(1, ids[1]), of(5, ids[5])}, shown, "a program that begins again has what was pending")
}

// work has consumers acknowledge what a group delivers, until n entries are done or the test ends. It returns how often each came.
func work(t *testing.T, c *Client, consumers, n int) map[EntryID]int {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	came, done := make(map[EntryID]int), make(map[EntryID]bool)
	var tasks sync.WaitGroup
	for i := range consumers {
		tasks.Go(func() {
			k := c.Consumer("s", "g", fmt.Sprint("c", i), ConsumerOptions{Count: 3})
			for ctx.Err() == nil {
				for d, err := range k.All(ctx) {
					if err != nil {
						break // the first connection of a loop
					}
					mu.Lock()
					came[d.ID]++
					mu.Unlock()
					if err := k.Ack(ctx, d.ID); err != nil {
						assert.ErrorIs(t, ctx.Err(), context.Canceled, "%s", err)
						return
					}
					mu.Lock()
					if done[d.ID] = true; len(done) == n {
						cancel()
					}
					mu.Unlock()
				}
			}
		})
	}
	tasks.Wait()
	require.NoError(t, t.Context().Err(), "%d of %d are done", len(done), n)
	return came
}

// Wherever connections break, each entry is delivered and acknowledged.
func TestConsumersOverCutConnections(t *testing.T) {
	for name, o := range streamServers(t) {
		t.Run(name, func(t *testing.T) {
			seed := *cutSeed
			if seed == 0 {
				seed = testseed.New()
			}
			t.Logf("-cut.seed=%d", seed)
			o.MinBackoff, o.MaxBackoff = time.Nanosecond, time.Nanosecond
			direct := connect(t, o)
			const n = 200
			ids := appendNumbers(t, direct, "s", n)
			require.NoError(t, direct.CreateGroup(t.Context(), "g", After("s", EntryID{})))
			var dials atomic.Uint64
			dial := new(net.Dialer).DialContext
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				sock, err := dial(ctx, network, addr)
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
			came := work(t, c, 3, n)
			for _, id := range ids {
				assert.NotZero(t, came[id], id)
			}
			assert.Greater(t, dials.Load(), uint64(3))
			w, err := direct.options.dial(t.Context())
			require.NoError(t, err)
			defer func() { _ = w.Close() }()
			_, err = w.Write(appendCommand(nil, "XPENDING", "s", "g"))
			require.NoError(t, err)
			require.NoError(t, w.readReply(func(r *reply) { assert.Zero(t, r.elements[0].integer, "all is acknowledged") }))
		})
	}
}

// life is a server with the streams of a directory.
func life(t *testing.T, dir string, l net.Listener) (addr string, end func()) {
	t.Helper()
	kept, err := store.Open(store.Options{Dir: dir})
	require.NoError(t, err)
	s := harness.StartOn(t, l, server.Options{Store: kept})
	kept.Start(s.Service())
	return s.Addr, func() {
		s.Stop()
		kept.Stop()
		require.NoError(t, kept.Close(0))
	}
}

// Consumers go on over restarts of the server: what was pending comes again, and nothing is lost.
func TestConsumersOverRestarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr, end := life(t, dir, l)
	c := connect(t, Options{Addr: addr})
	const lives, each = 4, 25
	require.NoError(t, c.CreateGroup(t.Context(), "g", After("s", EntryID{})))
	var came map[EntryID]int
	var tasks sync.WaitGroup
	tasks.Go(func() { came = work(t, c, 3, lives*each) })
	var ids []EntryID
	for i := range lives * each {
		id, err := c.Append(t.Context(), "s", price, Idempotent("p", fmt.Sprint(i)))
		for err != nil { // no server is there yet
			require.NoError(t, t.Context().Err())
			id, err = c.Append(t.Context(), "s", price, Idempotent("p", fmt.Sprint(i)))
		}
		if ids = append(ids, id); i%each != 0 || i == 0 {
			continue
		}
		end()
		harness.Eventually(t, func() bool {
			l, err = net.Listen("tcp", addr)
			return err == nil
		}, "the address is free")
		_, end = life(t, dir, l)
	}
	tasks.Wait()
	for _, id := range ids {
		assert.NotZero(t, came[id], id)
	}
	require.NoError(t, c.Close())
	end()
}

// A wait ends with its ctx, and with Close.
func TestEndOfAConsumer(t *testing.T) {
	c := connect(t, Options{Addr: harness.Start(t, server.Options{}).Addr})
	require.NoError(t, c.CreateGroup(t.Context(), "g", FromNow("s")))
	k := c.Consumer("s", "g", "c", ConsumerOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := consume(ctx, k, -1)
		done <- err
	}()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, c.Close())
	_, err := consume(t.Context(), k, -1)
	require.ErrorIs(t, err, ErrClosed)
}

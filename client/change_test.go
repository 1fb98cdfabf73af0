package client

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
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

const subscribedA = resp3 + `
	> SUBSCRIBE a
	< >3|+subscribe|+a|:1
`

// Add and Remove take effect with the confirmation, and not before.
func TestAddAndRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"hang", subscribedA+`
			> SUBSCRIBE b c
			< >3|+message|+a|+1
			< >3|+subscribe|+b|:2
			< >3|+message|+b|+early
			< >3|+subscribe|+c|:3
			> PSUBSCRIBE b*
			< >3|+psubscribe|+b*|:4
			> UNSUBSCRIBE a b
			< >3|+message|+b|+last
			< >3|+unsubscribe|+a|:3
			< >3|+unsubscribe|+b|:2
			< >4|+pmessage|+b*|+b|+2
			hang`)
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		require.NoError(t, s.Add(t.Context(), Topic("a"), Topic("b"), Pattern("b*"), Topic("c"), Topic("b")))
		require.NoError(t, s.Remove(t.Context(), Topic("a"), Topic("b"), Topic("nobody")))
		require.NoError(t, s.Add(t.Context()))
		assert.Equal(t, []string{
			"a||1 :0<0", "b||early :0<0", "names changed: [b c] added, [] removed",
			"names changed: [b*] added, [] removed", "b||last :0<0",
			"names changed: [] added, [a b] removed", "b|b*|2 :0<0",
		}, events(t, s, 7))
		require.NoError(t, s.Close())
		assert.ErrorIs(t, s.Add(t.Context(), Topic("x")), ErrClosed)
		assert.ErrorIs(t, s.Remove(t.Context(), Topic("c")), ErrClosed)
	})
}

// A refused name is not added, and the subscription goes on.
func TestAddIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"hang", subscribedA+`
			> SUBSCRIBE b
			< -NOPERM no b
			> SUBSCRIBE c
			< >3|+subscribe|+c|:2
			< >3|+message|+c|+1
			< >3|+message|+b|+1
			hang`)
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		err = s.Add(t.Context(), Topic("b"))
		serverErr := (*Error)(nil)
		require.ErrorAs(t, err, &serverErr)
		assert.Equal(t, CodeNoPerm, serverErr.Code)
		require.NoError(t, s.Add(t.Context(), Topic("c")))
		assert.Equal(t, []string{
			"names changed: [c] added, [] removed", "c||1 :0<0",
			`disconnected: malformed reply: a message for "b", which is not subscribed`,
		}, events(t, s, 3))
	})
}

func TestAddOfAPredicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"hang", subscribedA+"hang", resp3+`
			> CLIENT CAPA seq
			< -ERR unknown
			> HELLO
			< %2|+server|+redis|+proto|:3
			> SUBSCRIBE a
			< >3|+subscribe|+a|:1
			hang`)
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close()) }()
		s, err := c.Subscribe(t.Context(), Topic("a"))
		require.NoError(t, err)
		assert.ErrorIs(t, s.Add(t.Context(), Topic("b").Where("c")), ErrInvalidOption)
		assert.ErrorIs(t, s.Add(t.Context(), Pattern("b WHERE c")), ErrInvalidOption)
		c.options.Sequences = true
		s, err = c.Subscribe(t.Context(), Topic("a"))
		require.NoError(t, err)
		assert.ErrorIs(t, s.Add(t.Context(), Topic("b").Where("c")), ErrNoPredicates)
	})
}

// While the connection is lost, changes wait for the next one, and so do those that were sent and not confirmed.
func TestChangesWhileDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3+"hang", subscribedA+"> SUBSCRIBE b\n")
		o.MinBackoff, o.MaxBackoff = time.Second, time.Second
		o.random = func(n int64) int64 { return n - 1 }
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		require.NoError(t, s.Add(t.Context(), Topic("b")), "the connection ends without a confirmation")
		require.NoError(t, s.Add(t.Context(), Topic("c"), Pattern("d")))
		f.add(resp3 + `
			> SUBSCRIBE b c
			gate
			< >3|+subscribe|+b|:1
			< >3|+message|+c|+dropped
			< >3|+message|+b|+kept
			< >3|+subscribe|+c|:2
			> PSUBSCRIBE d
			< >3|+psubscribe|+d|:3
			> SUBSCRIBE e
			< >3|+subscribe|+e|:4
			> UNSUBSCRIBE c
			< >3|+message|+c|+dropped
			< >3|+unsubscribe|+c|:3
			> UNSUBSCRIBE e
			< >3|+unsubscribe|+e|:2
			hang`)
		require.NoError(t, s.Remove(t.Context(), Topic("a")))
		<-time.After(time.Second) // of the bubble: the connection is made and stops at the gate
		synctest.Wait()
		require.NoError(t, s.Add(t.Context(), Topic("e")), "while the connection is made")
		require.NoError(t, s.Remove(t.Context(), Topic("c")))
		f.openGate()
		assert.Equal(t, []string{
			"disconnected: the server closed the connection: EOF", "reconnected  false, 0 to 0",
		}, slices.DeleteFunc(events(t, s, 3), func(e string) bool {
			return strings.HasPrefix(e, "names changed") && assert.Contains(t, e, "[a] removed")
		}))
		assert.Equal(t, []string{"b||kept :0<0"}, events(t, s, 1))
		require.NoError(t, s.Remove(t.Context(), Topic("e")))
	})
}

// A reply to a command that is pending proves a live server, and a PING delays a command until its reply.
func TestAddAndSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3+"> PING\n< +PONG\n> PING\n< +PONG\nhang", subscribedA+`
			> SUBSCRIBE b
			gate
			< >3|+subscribe|+b|:2
			> PING
			gate
			< -NOPERM no ping
			> SUBSCRIBE c
			< >3|+subscribe|+c|:3
			> SUBSCRIBE d
			hang`)
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		var tasks sync.WaitGroup
		tasks.Go(func() { assert.NoError(t, s.Add(t.Context(), Topic("b"))) })
		<-time.After(40 * time.Second) // of the bubble; no PING
		f.openGate()
		tasks.Wait()
		<-time.After(31 * time.Second)
		tasks.Go(func() { assert.NoError(t, s.Add(t.Context(), Topic("c"))) })
		synctest.Wait()
		f.openGate()
		tasks.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, s.Add(ctx, Topic("d")), context.DeadlineExceeded)
		assert.ErrorIs(t, s.Add(ctx, Topic("d")), context.DeadlineExceeded)
		assert.ErrorIs(t, s.Add(canceled(), Topic("e")), context.Canceled)
		require.NoError(t, s.Close())
	})
}

// The goroutine that reads the events may add names, however many events are before the confirmation.
func TestAddByTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := subscribedA + strings.Repeat("< >3|+message|+a|+1\n", 100) + "> SUBSCRIBE b\n" +
			strings.Repeat("< >3|+message|+a|+2\n", 100) + "< >3|+subscribe|+b|:2\n" + strings.Repeat("< >3|+message|+b|+3\n", 100)
		_, o := serve(t, resp3+"hang", script, subscribedA[:strings.Index(subscribedA, ">")]+"hang")
		o.Buffer = 1
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, s.Add(t.Context(), Topic("b")))
		all := events(t, s, 301)
		assert.Equal(t, "names changed: [b] added, [] removed", all[200])
		assert.Equal(t, "b||3 :0<0", all[201])
		// Nor does it wait for ever for a connection that is lost meanwhile.
		require.NoError(t, s.Remove(t.Context(), Topic("a")))
		require.NoError(t, s.Add(t.Context(), Topic("d")))
	})
}

// Each subscription ends with what was sent and is not confirmed.
func TestCloseWhileAdding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"hang", subscribedA+"> SUBSCRIBE b\nhang")
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		var tasks sync.WaitGroup
		for range 3 {
			tasks.Go(func() { assert.ErrorIs(t, s.Add(t.Context(), Topic("b")), ErrClosed) })
		}
		synctest.Wait()
		require.NoError(t, s.Close())
		tasks.Wait()
	})
}

var changeSeed = flag.Uint64("change.seed", 0, "play only this seed of the changes, as a failure printed it")

// changes is a model of one subscription: which messages of which name it must receive.
type changes struct {
	t         *testing.T
	rng       *rand.Rand
	publisher *Client
	sub       *Subscription
	names     map[Name]bool
	want      map[string]bool // "name sequence"
}

// changeNames are added and removed. end is always subscribed.
var changeNames = []Name{
	Topic("a"), Topic("b"), Topic("c"), Pattern("a"), Pattern("*[ab]"), Pattern("*"), Topic("b").Where("size > 2"),
}

// publish publishes, and records for which names the message is wanted.
func (c *changes) publish(topic, payload string) {
	published, err := c.publisher.Publish(c.t.Context(), topic, []byte(payload))
	require.NoError(c.t, err)
	for n := range c.names {
		var matches bool
		switch n.text {
		case "*":
			matches = true
		case "*[ab]":
			matches = topic == "a" || topic == "b"
		case "b WHERE size > 2":
			matches = topic == "b" && len(payload) > 2
		default:
			matches = topic == n.text
		}
		if matches {
			c.want[fmt.Sprint(n.pattern, n, published.Sequence)] = true
		}
	}
}

// step makes one random change or publishes.
func (c *changes) step() {
	var some []Name
	for _, n := range changeNames {
		if c.rng.IntN(3) == 0 {
			some = append(some, n)
		}
	}
	switch c.rng.IntN(5) {
	case 0:
		require.NoError(c.t, c.sub.Add(c.t.Context(), some...))
		for _, n := range some {
			c.names[n] = true
		}
	case 1:
		require.NoError(c.t, c.sub.Remove(c.t.Context(), some...))
		for _, n := range some {
			delete(c.names, n)
		}
	default:
		c.publish([]string{"a", "b", "c"}[c.rng.IntN(3)], strings.Repeat("x", c.rng.IntN(6)))
	}
}

// check empties want. It compares a stream with the model: what is wanted and not received lies in a range that Reconnected reports, and
// each message lies between the events that added and removed its name.
func (c *changes) check(stream []Event, first []Name) {
	names, last, back := newNameSet(first...), uint64(0), &Reconnected{}
	for _, e := range stream {
		switch e := e.(type) {
		case *NamesChanged:
			names.add(e.Added)
			names.remove(e.Removed)
		case *Reconnected:
			back = e
			for seq := e.After + 1; seq <= e.Before; seq++ {
				for _, n := range changeNames {
					delete(c.want, fmt.Sprint(n.pattern, n, seq))
				}
			}
		case *Message:
			n := receivedName([]byte(e.Pattern), true)
			if e.Pattern == "" {
				n = Topic(e.Topic)
			}
			require.True(c.t, names.has(n), "a message of %v outside its time", n)
			require.GreaterOrEqual(c.t, e.Sequence, last)
			last = e.Sequence
			if e.Topic != "end" {
				key := fmt.Sprint(n.pattern, n, e.Sequence)
				mayBeMissed := e.Sequence > back.After && e.Sequence <= back.Before
				require.True(c.t, c.want[key] || mayBeMissed, "%s was not wanted", key)
				delete(c.want, key)
			}
		case *Missed:
			require.Fail(c.t, "a loss that was none", "%+v", e)
		}
	}
	require.Empty(c.t, c.want, "not received")
}

// Names come and go while messages are published and connections are killed.
func TestChangesOfAnyKind(t *testing.T) {
	s := harness.Start(t, server.Options{})
	first, runs := testseed.New()>>1, uint64(60)
	if testing.Short() {
		runs = 10
	}
	if *changeSeed > 0 {
		first, runs = *changeSeed, 1
	}
	t.Logf("seeds from %d", first)
	for seed := first; seed < first+runs; seed++ {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { playChanges(t, s, seed) }) {
			t.Fatalf("-change.seed=%d", seed)
		}
	}
}

func playChanges(t *testing.T, s *harness.Server, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	o := Options{Addr: s.Addr, Sequences: true, Buffer: 1 + rng.IntN(4)}
	begin := []Name{Topic("end")}
	publisher := connect(t, o)
	c := &changes{
		t: t, rng: rng, publisher: publisher, sub: listenTo(t, publisher, begin...),
		names: map[Name]bool{}, want: map[string]bool{},
	}
	admin := s.Dial(t)
	kills := rng.IntN(2) == 0
	var stream []Event
	var ended atomic.Bool
	read := make(chan struct{})
	readAll := func() {
		defer close(read)
		for e, err := range c.sub.All(t.Context()) {
			if err != nil {
				return
			}
			stream = append(stream, e)
			if m, ok := e.(*Message); ok && m.Topic == "end" {
				ended.Store(true)
			}
		}
	}
	late := rng.IntN(2) == 0 // the reader begins at the end: Add and Remove must not wait for it
	if !late {
		go readAll()
	}
	for range 100 {
		c.step()
		if kills && rng.IntN(20) == 0 {
			admin.Command("CLIENT", "KILL", "TYPE", "pubsub")
			_, err := admin.Frame()
			require.NoError(t, err)
		}
	}
	if late {
		go readAll()
	}
	harness.Eventually(t, func() bool {
		mustPublish(t, publisher, "end", "")
		return ended.Load()
	}, "the subscription receives again; all that it must receive is before that")
	require.NoError(t, c.sub.Close())
	<-read
	c.check(stream, begin)
}

// InOrder waits for each name from its NamesChanged on, and no longer than it is subscribed.
func TestInOrderWhileNamesChange(t *testing.T) {
	s := harness.Start(t, server.Options{})
	first := testseed.New() >> 1
	if *changeSeed > 0 {
		first = *changeSeed
	}
	for seed := first; seed < first+10; seed++ {
		rng := rand.New(rand.NewPCG(seed, 0))
		publisher := connect(t, Options{Addr: s.Addr, Sequences: true})
		subs := []*Subscription{listenTo(t, publisher, Topic("end")), listenTo(t, publisher, Topic("end"))}
		total := 0
		for range 100 {
			sub, name := subs[rng.IntN(2)], changeNames[rng.IntN(len(changeNames))]
			switch rng.IntN(4) {
			case 0:
				require.NoError(t, sub.Add(t.Context(), name))
			case 1:
				require.NoError(t, sub.Remove(t.Context(), name))
			default:
				total += mustPublish(t, publisher, []string{"a", "b"}[rng.IntN(2)], "hello")
			}
		}
		for _, sub := range subs { // a quiet name would hold up the others
			require.NoError(t, sub.Remove(t.Context(), changeNames...))
		}
		total += mustPublish(t, publisher, "end", "")
		last := uint64(0)
		for e, err := range InOrder(Merge(t.Context(), subs...), 1000, subs...) {
			require.NoError(t, err, "-change.seed=%d", seed)
			require.NotContains(t, describe(e), "late", "-change.seed=%d", seed)
			if m, ok := e.(*Message); ok {
				require.GreaterOrEqual(t, m.Sequence, last, "-change.seed=%d", seed)
				last = m.Sequence
				total--
			}
			if total == 0 {
				break
			}
		}
		require.NoError(t, publisher.Close())
	}
}

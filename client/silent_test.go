package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// hellos is how many HELLO the server has answered.
func hellos(t *testing.T, s *harness.Server) (calls int) {
	t.Helper()
	c := s.Dial(t)
	defer func() { _ = c.Close() }()
	c.Command("INFO", "commandstats")
	info, err := c.Frame()
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(info), "cmdstat_hello:")
	_, err = fmt.Sscanf(rest, "calls=%d,", &calls)
	require.NoError(t, err)
	return calls
}

// hasty is a socket on which the silence before a PING is short, and the wait for its reply has no end.
type hasty struct {
	net.Conn
	silent bool
}

func (h *hasty) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	h.silent = timedOut(n, err)
	return n, err
}

func (h *hasty) SetReadDeadline(time.Time) error {
	if h.silent {
		return h.Conn.SetReadDeadline(time.Time{})
	}
	return h.Conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
}

func dialHasty(ctx context.Context, network, addr string) (net.Conn, error) {
	sock, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &hasty{Conn: sock}, err
}

// A name that is silent for long has missed nothing, although the server keeps nothing of the time of its last message: the
// idle ping brings its position along. So it is for names that began in the past.
func TestASilentNameResumes(t *testing.T) {
	for _, name := range []Name{Topic("quiet"), Topic("quiet").Where("size > 0"), Topic("quiet").From("0")} {
		s := harness.Start(t, server.Options{Recent: 64 << 10})
		direct := connect(t, Options{Addr: s.Addr, Sequences: true})
		mustPublish(t, direct, "quiet", "first")
		gate := new(atomic.Bool)
		gate.Store(true)
		c := connect(t, Options{Sequences: true, Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
			if !gate.Load() {
				return nil, errRefused
			}
			return dialHasty(ctx, network, s.Addr)
		}})
		sub := listenTo(t, c, name)
		if name.start == "" {
			mustPublish(t, direct, "quiet", "second")
		}
		mustNext(t, sub)
		for range 100 {
			mustPublish(t, direct, "busy", strings.Repeat("x", 4<<10))
		}
		before := hellos(t, s)
		harness.Eventually(t, func() bool { return hellos(t, s) >= before+2 }, "it pings, and has the first reply")
		gate.Store(false)
		killSubscribers(t, s)
		assert.IsType(t, &Disconnected{}, mustNext(t, sub))
		mustPublish(t, direct, "quiet", "last")
		gate.Store(true)
		assert.IsType(t, &Resumed{}, mustNext(t, sub))
		m, ok := mustNext(t, sub).(*Message)
		require.True(t, ok, "nothing is missing")
		assert.Equal(t, "last", string(m.Payload))
	}
}

// As long as the server replays, the present position proves nothing.
func TestAPositionDuringAReplay(t *testing.T) {
	s := &Subscription{}
	rc := receiver{subscription: s, conn: &conn{hasSeq: true}}
	rc.reset(rc.conn)
	past := rc.addState(Topic("a"), Topic("a").at("FROM 0"), &reach{start: "FROM 0"})
	live := rc.addState(Topic("b"), Topic("b"), rc.live)
	hello := func(sequence, replaying int64) {
		elements := []reply{
			{kind: kindBulk, bytes: []byte("epoch")}, {kind: kindBulk, bytes: []byte("e")},
			{kind: kindBulk, bytes: []byte("sequence")}, {kind: kindInteger, integer: sequence},
		}
		if replaying >= 0 {
			elements = append(elements, reply{kind: kindBulk, bytes: []byte("replaying")}, reply{kind: kindInteger, integer: replaying})
		}
		_, err := rc.handle(&reply{kind: kindMap, elements: elements})
		require.NoError(t, err)
	}
	for n, replaying := range []int64{1, -1} { // -1: a server without this field
		hello(int64(n+1), replaying)
		assert.Equal(t, reach{start: "FROM 0"}, *past.reach)
		assert.EqualValues(t, n+1, live.reach.whole)
	}
	hello(3, 0)
	assert.Equal(t, reach{seq: 3, whole: 3}, *past.reach)
	assert.Equal(t, reach{seq: 3, whole: 3}, *live.reach)
}

// Very many names resume in the one order.
func TestManyNamesResumeInOrder(t *testing.T) {
	const names, messages = 3500, 5000
	s := harness.Start(t, server.Options{Recent: 16 << 20})
	direct := connect(t, Options{Addr: s.Addr, Sequences: true})
	var all []Name
	for i := range names {
		all = append(all, Topic(fmt.Sprint("t", i)))
	}
	sub, gate := listenGated(t, s, func(c *Client) *Subscription { return listenTo(t, c, all...) })
	gate.Store(false)
	killSubscribers(t, s)
	assert.IsType(t, &Disconnected{}, mustNext(t, sub))
	for range messages {
		mustPublish(t, direct, fmt.Sprint("t", rand.IntN(names)), "")
	}
	gate.Store(true)
	assert.IsType(t, &Resumed{}, mustNext(t, sub))
	for next := uint64(1); next <= messages; next++ {
		m, ok := mustNext(t, sub).(*Message)
		require.True(t, ok)
		require.Equal(t, next, m.Sequence)
	}
}

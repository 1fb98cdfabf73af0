package client

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

var faultSeed = flag.Uint64("fault.seed", 0, "play only this seed of the faults, as a failure printed it")

// listener is a subscriber that records what the server publishes, one run after another.
type listener struct {
	*harness.Conn
	t *testing.T
}

func listen(t *testing.T, s *harness.Server) *listener { return &listener{s.Dial(t), t} }

// begin subscribes to the topic of a run.
func (l *listener) begin(topic string) {
	l.Command("SUBSCRIBE", topic)
	_, err := l.Frame()
	require.NoError(l.t, err)
}

// end returns the payloads published so far, with their positions.
func (l *listener) end(topic string) map[string]int {
	l.Command("UNSUBSCRIBE", topic)
	received := make(map[string]int)
	for position := 0; ; position++ {
		frame, err := l.Frame()
		require.NoError(l.t, err)
		lines := strings.Split(string(frame), "\r\n")
		if lines[2] == "unsubscribe" {
			return received
		}
		require.NotContains(l.t, received, lines[6], "published twice")
		received[lines[6]] = position
	}
}

// run is a publisher behind a faulty proxy.
type run struct {
	seed       uint64
	topic      string
	options    PublisherOptions
	pingAfter  time.Duration
	plan       func(connection uint64) faulty.Plan
	goroutines int
	messages   int // of each goroutine
	keys       bool
	sequences  bool
}

// play publishes, closes the publisher, and compares its account with what the server published. It returns the number
// of cut connections and of unacknowledged messages, or that the publisher could not connect.
func (r *run) play(t *testing.T, s *harness.Server, l *listener) (cut int64, unacknowledged int, connected bool) {
	proxy, err := faulty.Start(s.Addr, r.plan)
	require.NoError(t, err)
	defer proxy.Shut()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	l.begin(r.topic)
	o := Options{
		Addr: proxy.Addr(), PingAfter: r.pingAfter, Sequences: r.sequences,
		MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
	}
	p, err := NewPublisher(ctx, o, r.options)
	cuts := func() int64 { return proxy.Count(faulty.Close) + proxy.Count(faulty.Reset) }
	if err != nil {
		assert.NoError(t, ctx.Err(), "the handshake hangs")
		assert.Empty(t, l.end(r.topic))
		return cuts(), 0, false
	}
	published := r.publish(t, ctx, p)
	_ = p.Close() // tally checks the outcome
	acked, unacked := tally(t, p, r.topic, published...)
	received := l.end(r.topic)
	for payload := range received {
		require.True(t, acked[payload] || unacked[payload], "%s was never published", payload)
	}
	for payload := range acked {
		require.Contains(t, received, payload, "acknowledged, and not published")
	}
	for _, messages := range published {
		if r.options.Reconnect { // bytes of a broken connection may be read after those of the next one
			messages = slices.DeleteFunc(messages, func(m sent) bool { return !acked[m.payload] })
		}
		keepsOrder(t, messages, acked, received)
	}
	if len(unacked) > 0 {
		require.Error(t, p.Err())
	}
	assert.NoError(t, ctx.Err(), "something hangs")
	return cuts(), len(unacked), true
}

// keepsOrder checks that what a goroutine published over one connection arrived in order, and acknowledged messages of
// one key too.
func keepsOrder(t *testing.T, messages []sent, acked map[string]bool, received map[string]int) {
	t.Helper()
	byConnection, byKey := make(map[int]int), make(map[string]int)
	for _, m := range messages {
		place, ok := received[m.payload]
		if !ok {
			continue
		}
		require.GreaterOrEqual(t, place, byConnection[m.id.connection()], "%s came out of order", m.payload)
		byConnection[m.id.connection()] = place
		if m.key != "" && acked[m.payload] {
			require.GreaterOrEqual(t, place, byKey[m.key], "%s came out of the order of its key", m.payload)
			byKey[m.key] = place
		}
	}
}

// publish runs goroutines that publish singly and in batches, with and without a key, with and without waiting. It
// returns when all is done or the publisher has stopped.
func (r *run) publish(t *testing.T, ctx context.Context, p *Publisher) [][]sent {
	published := make([][]sent, r.goroutines)
	var tasks sync.WaitGroup
	for g := range published {
		rng := rand.New(rand.NewPCG(r.seed, uint64(g)))
		tasks.Go(func() {
			for n := 0; n < r.messages; {
				key := ""
				if r.keys && rng.IntN(2) == 0 {
					key = fmt.Sprint(rng.IntN(4))
				}
				put := publishAll
				if rng.IntN(2) == 0 {
					put = batchAll
				}
				more, err := put(ctx, p, r.topic, fmt.Sprintf("%d-%d", g, n), 1+rng.IntN(10), key)
				published[g] = append(published[g], more...)
				n += len(more)
				if err != nil {
					assert.NoError(t, ctx.Err(), "Publish hangs")
					if errors.Is(err, ErrBacklog) {
						return
					}
					assert.ErrorIs(t, err, p.Err(), "not the first cause")
					return
				}
				switch rng.IntN(8) {
				case 0:
					_, err = p.Wait(ctx, more[rng.IntN(len(more))].id)
				case 1:
					err = p.Flush(ctx)
				}
				if err != nil {
					assert.NoError(t, ctx.Err(), "Wait or Flush hangs")
					assert.ErrorIs(t, err, ErrOutcomeUnknown)
				}
			}
		})
	}
	tasks.Wait()
	return published
}

// One of two connections is cut after each byte, from the first of the handshake to the last.
func TestCutAtEveryByte(t *testing.T) {
	s := harness.Start(t, server.Options{})
	step := int64(1)
	if invariant.On { // the checks slow everything down
		step = 3
	}
	if testing.Short() {
		step = 23
	}
	for _, reset := range []bool{false, true} {
		t.Run(map[bool]string{false: "close", true: "reset"}[reset], func(t *testing.T) {
			t.Parallel()
			l := listen(t, s)
			runs, connected, missing := 0, 0, 0
			for at := int64(1); ; at += step {
				r := &run{
					seed: 1, topic: fmt.Sprintf("cut-%v-%d", reset, at), pingAfter: time.Minute,
					options: PublisherOptions{Connections: 2, Window: 8}, goroutines: 1, messages: 30, sequences: reset,
					plan: func(connection uint64) (p faulty.Plan) {
						if connection == 0 {
							p.CutAt, p.CutReset = at, reset
						}
						return p
					},
				}
				cut, unacknowledged, ok := r.play(t, s, l)
				if t.Failed() {
					t.Fatalf("cut behind byte %d", at)
				}
				runs++
				missing += unacknowledged
				if ok {
					connected++
				}
				if cut == 0 {
					break
				}
			}
			t.Logf("%d runs, %d of them connected, %d messages not acknowledged", runs, connected, missing)
			assert.NotZero(t, missing)
		})
	}
}

// drawRun draws a run from a seed, with the faults of package faulty on a smaller scale.
func drawRun(seed uint64) *run {
	rng := rand.New(rand.NewPCG(seed, 0))
	often := func(one int) bool { return rng.IntN(one) == 0 }
	r := &run{
		seed: seed, topic: fmt.Sprintf("run-%d", seed), pingAfter: time.Minute,
		options: PublisherOptions{
			Connections: 1 + rng.IntN(8), Window: 1 << rng.IntN(8), WindowBytes: 64 << rng.IntN(10), KeepGoing: often(2),
			Grace: time.Duration(1+rng.IntN(20)) * time.Millisecond,
		},
		goroutines: 1 + rng.IntN(3), messages: 10 + rng.IntN(60), keys: often(2), sequences: often(2),
	}
	if often(3) {
		r.pingAfter = time.Duration(1+rng.IntN(5)) * time.Millisecond
	}
	plans := make([]faulty.Plan, r.options.Connections)
	for i := range plans {
		p := faulty.Draw(seed, uint64(i))
		p.Hold, p.Delay, p.Stall = p.Hold/100, p.Delay/100, p.Stall/50
		if !often(4) {
			p.Delay = 0 // a pause per chunk takes too long
		}
		p.StallAt, p.CutAt, p.Rate = p.StallAt%3000, p.CutAt%3000, 0
		if p.CutAt > 0 && often(2) {
			p.CutAt += 300 // after the handshake
		}
		plans[i] = p
	}
	r.options.Reconnect = often(2)
	r.plan = func(connection uint64) (p faulty.Plan) {
		if connection < uint64(len(plans)) {
			p = plans[connection]
		}
		return p // of a replacement: none, so that each run ends
	}
	return r
}

func TestFaults(t *testing.T) {
	s := harness.Start(t, server.Options{})
	if *faultSeed > 0 {
		drawRun(*faultSeed).play(t, s, listen(t, s))
		return
	}
	runs := uint64(1500)
	if invariant.On {
		runs = 500
	}
	if testing.Short() {
		runs = 100
	}
	first := testseed.New() >> 1
	var next, cuts, connected, missing atomic.Int64
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for range 8 {
		l := listen(t, s)
		tasks.Go(func() {
			for !t.Failed() {
				n := uint64(next.Add(1))
				if n > runs {
					return
				}
				r := drawRun(first + n)
				cut, unacknowledged, ok := r.play(t, s, l)
				if t.Failed() {
					t.Errorf("-fault.seed=%d", r.seed)
				}
				cuts.Add(cut)
				missing.Add(int64(unacknowledged))
				if ok {
					connected.Add(1)
				}
			}
		})
	}
	tasks.Wait()
	t.Logf("seeds from %d: %d runs, %d of them connected, %d connections cut, %d messages not acknowledged",
		first+1, runs, connected.Load(), cuts.Load(), missing.Load())
}

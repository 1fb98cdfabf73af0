package command

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
)

// manyGlobs and aboutLarge: one message for all of these is much more than may be queued at once.
const (
	manyGlobs  = 300
	aboutLarge = outbox.LargePayload - 1000
)

// glob matches topic a. Each number has another one.
func glob(n int) string { return "a" + strings.Repeat("*", n) }

// newPartial makes a service with two messages of topic a, and others of topic b behind them, and a subscriber that has asked for topic
// a with many patterns, and has read the confirmations.
func newPartial(t *testing.T, others int) (sub *pipe) {
	s := newService(t, Options{Unprotected: true, Recent: 4 << 20})
	pub := serveOn(t, s)
	for n := range 2 + others {
		topic := []string{"a", "b"}[min(n/2, 1)]
		go func() { _, _ = fmt.Fprintf(pub.sock, "PUB %s %s\n", topic, strings.Repeat("x", aboutLarge)) }()
		require.Equal(t, "OK PUB "+topic, pub.line())
	}
	sub = serveOn(t, s)
	var globs []string
	for n := range manyGlobs {
		globs = append(globs, fmt.Sprintf("$%d\r\n%s FROM 0", n+1+len(" FROM 0"), glob(n)))
	}
	go func() {
		_, _ = fmt.Fprintf(sub.sock, "*%d\r\n$10\r\nPSUBSCRIBE\r\n%s\r\n", 1+manyGlobs, strings.Join(globs, "\r\n"))
	}()
	for range manyGlobs {
		sub.array()
	}
	return sub
}

// array reads an array of texts, or an integer behind some.
func (p *pipe) array() (texts []string) {
	p.t.Helper()
	n := 0
	_, err := fmt.Sscanf(p.line(), "*%d", &n)
	require.NoError(p.t, err)
	for range n {
		if line := p.line(); line[0] == '$' {
			line = p.line()
			texts = append(texts, line)
		}
	}
	return texts
}

// A message for very many patterns of one connection is queued in parts, at the client's pace.
func TestAMessageForManyPatterns(t *testing.T) {
	for _, others := range []int{0, 10} { // with others it does not join at once
		sub := newPartial(t, others)
		for n := range 2 * manyGlobs {
			got := sub.array()
			require.Equal(t, glob(n%manyGlobs)+" FROM 0", got[1])
			require.LessOrEqual(t, sub.outbox.ReplayBytes(), int64(maxAhead+feedBytes+outbox.LargePayload))
		}
		sub.sends("PUNSUBSCRIBE x\r\n")
		assert.Equal(t, []string{"punsubscribe", "x"}, sub.array())
	}
}

// What is encoded and not added is void when a pattern is left: nothing is lost with it, and nothing comes twice.
func TestPatternsThatEndInTheMiddleOfAMessage(t *testing.T) {
	sub := newPartial(t, 10)
	for n := range 10 {
		require.Equal(t, glob(n)+" FROM 0", sub.array()[1])
	}
	sub.sends(fmt.Sprintf("PUNSUBSCRIBE \"%s FROM 0\"\r\n", glob(200)))
	left := false
	for n := 10; n < 2*manyGlobs; n++ {
		got := sub.array()
		if got[0] == "punsubscribe" {
			left = true
			got = sub.array()
		}
		if n%manyGlobs == 200 && got[1] != glob(200)+" FROM 0" {
			n++
		}
		require.Equal(t, glob(n%manyGlobs)+" FROM 0", got[1])
	}
	if !left {
		assert.Equal(t, "punsubscribe", sub.array()[0])
	}
	sub.sends("PUNSUBSCRIBE x\r\n")
	assert.Equal(t, []string{"punsubscribe", "x"}, sub.array())
}

// Names that are left behind their join, and the end of the connection, end the rest of a replay. It is reported as missing.
func TestTheRestOfAReplayEnds(t *testing.T) {
	for _, last := range []string{"PUNSUB", "QUIT"} {
		s := newService(t, Options{Unprotected: true, Recent: 4 << 20})
		pub, sub := serveOn(t, s), serveOn(t, s)
		publish := func() {
			go func() { _, _ = fmt.Fprintf(pub.sock, "PUB a %s\n", strings.Repeat("x", aboutLarge)) }()
			require.Equal(t, "OK PUB a", pub.line())
		}
		publish()
		var globs []string
		for n := range manyGlobs {
			globs = append(globs, glob(n))
		}
		go func() { _, _ = io.WriteString(sub.sock, "PSUB "+strings.Join(globs, " ")+" FROM 0\n") }()
		for range manyGlobs {
			assert.Contains(t, sub.line(), "OK PSUB ")
		}
		publish() // the rest: the replay stands still, 256 KiB ahead
		for range manyGlobs {
			require.Contains(t, sub.line(), "UPDATE a ")
		}
		updates, missed := 0, 0
		for ; updates < 10; updates++ {
			require.Contains(t, sub.line(), "UPDATE a ")
		}
		for marked := false; !marked; runtime.Gosched() {
			f := sub.feeder.Load()
			f.mu.Lock()
			marked = f.joined != nil
			f.mu.Unlock()
		}
		sub.sends(last + "\n")
		if last == "PUNSUB" {
			for held := 1; held > 0; {
				s.runOnCore(func(broker.View) { held = sub.sub.NumSubscriptions() })
			}
		} else {
			for !sub.feeder.Load().stopping.raised.Load() {
				runtime.Gosched()
			}
		}
		line := sub.line()
		for ; strings.HasPrefix(line, "UPDATE a ") || strings.HasPrefix(line, "MISSED ? a"); line = sub.line() {
			if line[0] == 'U' {
				updates++
			} else {
				missed++
			}
		}
		assert.Equal(t, map[string]string{"PUNSUB": "OK PUNSUB a", "QUIT": "+OK"}[last], line)
		assert.Less(t, updates, manyGlobs/2)
		assert.GreaterOrEqual(t, updates+missed, manyGlobs, last)
	}
}

// ping has a PING answered.
func (p *pipe) ping() {
	p.t.Helper()
	_, err := io.WriteString(p.sock, "PING\n")
	assert.NoError(p.t, err)
	assert.Equal(p.t, "+PONG", p.line())
}

// A feeder that waits for a slot holds no chunk: newer messages displace it, and its memory is free.
func TestAFeederThatWaitsHoldsNoChunk(t *testing.T) {
	s := newService(t, Options{Unprotected: true, Recent: 1 << 20})
	pub := serveOn(t, s)
	pub.fill("a", 1, 100)
	base := s.memory.Used() - int64(s.recent.Stats().Bytes)
	var by, never abortSignal
	var k matches
	k.init(s, &by, nil)
	_, _, ok := k.take(1)
	require.True(t, ok)
	k.work = turnWork
	others := make([]turn, cap(s.feeders.held))
	for i := range others[1:] {
		others[i+1] = turn{evaluators: &s.feeders, by: &never}
		require.True(t, others[i+1].step(0))
	}
	others[0] = turn{evaluators: &s.feeders, by: &never}
	first, done := make(chan bool), make(chan bool)
	go func() { first <- others[0].step(0) }()
	for s.feeders.waiting.Load() == 0 {
		runtime.Gosched()
	}
	go func() { done <- k.step(1) }()
	require.True(t, <-first)
	for s.feeders.waiting.Load() == 0 {
		runtime.Gosched()
	}
	pub.fill("a", 101, 3000)
	// The publisher's own buffers go back behind its replies, the large one of its reader with the next small read.
	eventually(t, func() bool {
		pub.ping()
		return s.memory.Used()-int64(s.recent.Stats().Bytes) < base+32<<10
	}, "no chunk is held")
	others[0].end()
	assert.False(t, <-done)
	assert.True(t, k.gone)
	k.release()
	for i := range others[1:] {
		others[i+1].end()
	}
	assert.Empty(t, s.feeders.held)
}

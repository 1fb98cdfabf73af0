package command

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/recent"
)

// A pipe has no buffer: what its client does not read is in the outbox, and the feeder stands still 256 KiB ahead.

// sends sends lines, and reads nothing.
func (p *pipe) sends(text string) {
	p.t.Helper()
	_, err := io.WriteString(p.sock, text)
	require.NoError(p.t, err)
}

func (p *pipe) line() string {
	p.t.Helper()
	line, err := p.from.ReadString('\n')
	require.NoError(p.t, err)
	return strings.TrimRight(line, "\r\n")
}

// number is the first word of a message of fill.
func number(t testing.TB, update, topic string) int {
	t.Helper()
	rest, ok := strings.CutPrefix(update, "UPDATE "+topic+" ")
	require.True(t, ok, "%.60s", update)
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	return n
}

// fill publishes messages of about 1,000 bytes, numbered from first to last.
func (p *pipe) fill(topic string, first, last int) {
	p.t.Helper()
	for ; first <= last; first += 100 {
		var batch strings.Builder
		n := 0
		for ; n < 100 && first+n <= last; n++ {
			fmt.Fprintf(&batch, "PUB %s %d %s\n", topic, first+n, strings.Repeat("x", 1000))
		}
		sent := make(chan struct{})
		go func() { defer close(sent); _, _ = io.WriteString(p.sock, batch.String()) }()
		for range n {
			require.Equal(p.t, "OK PUB "+topic, p.line())
		}
		<-sent
	}
}

// takeAll reads the messages of topic a from first to last, in order, and returns the lines between them.
func (p *pipe) takeAll(first, last int) (others []string) {
	p.t.Helper()
	for n := first; n <= last; {
		line := p.line()
		if !strings.HasPrefix(line, "UPDATE a ") {
			others = append(others, line)
			continue
		}
		require.Equal(p.t, n, number(p.t, line, "a"))
		n++
	}
	return others
}

const filled = 1000

// newReplays makes a service with messages 1 to filled of topic a, its publisher, and a subscriber.
func newReplays(t *testing.T, o Options) (s *Service, pub, sub *pipe) {
	o.Unprotected, o.Recent = true, 2<<20
	s = newService(t, o)
	pub = serveOn(t, s)
	pub.fill("a", 1, filled)
	return s, pub, serveOn(t, s)
}

func TestInTheMiddleOfAReplay(t *testing.T) {
	t.Run("a PING is answered, and live messages of other subscriptions come", func(t *testing.T) {
		_, pub, sub := newReplays(t, Options{})
		sub.say("SUB b")
		sub.sends("SUB a FROM 0\n")
		assert.Equal(t, "OK SUB a", sub.line())
		sub.takeAll(1, 10)
		sub.sends("PING\n")
		pub.say("PUB b live")
		pub.fill("a", filled+1, filled+1)
		others := sub.takeAll(11, filled+1)
		for len(others) < 2 { // the PING took effect behind all of them
			others = append(others, sub.line())
		}
		assert.ElementsMatch(t, []string{"+PONG", "UPDATE b live"}, others)
	})
	t.Run("an UNSUB ends it: nothing comes behind its confirmation", func(t *testing.T) {
		s, pub, sub := newReplays(t, Options{})
		sub.sends("SUB a FROM 0\n")
		assert.Equal(t, "OK SUB a", sub.line())
		sub.takeAll(1, 10)
		sub.sends("UNSUB a\nPING\n")
		for held := 1; held > 0; { // until then the subscriber reads nothing, so the replay waits
			s.runOnCore(func(broker.View) { held = sub.sub.NumSubscriptions() })
		}
		last := 10
		line := sub.line()
		for ; line != "OK UNSUB a"; line = sub.line() {
			last++
			require.Equal(t, last, number(t, line, "a"))
		}
		assert.Less(t, last, filled)
		assert.Equal(t, "+PONG", sub.line())
		pub.say("PUB a live")
		sub.sends("PING\n")
		assert.Equal(t, "+PONG", sub.line())
		sub.sends("SUB a LAST 1\n")
		assert.Equal(t, []string{"OK SUB a", "UPDATE a live"}, []string{sub.line(), sub.line()})
	})
	t.Run("another one begins, and both are complete", func(t *testing.T) {
		_, pub, sub := newReplays(t, Options{})
		pub.fill("b", 1, 500)
		sub.sends("SUB a FROM 0\n")
		assert.Equal(t, "OK SUB a", sub.line())
		sub.takeAll(1, 10)
		sub.sends("PSUB b LAST 100 WHERE size > 0\nPSUB a FROM #501\nPING\n")
		var b, again int
		for n := 11; b < 100 || again < 500 || n <= filled; {
			switch line := sub.line(); {
			case strings.HasPrefix(line, "UPDATE b "):
				b++
				require.Equal(t, 400+b, number(t, line, "b"))
			case !strings.HasPrefix(line, "UPDATE a "):
				assert.Contains(t, "OK PSUB b WHERE size > 0 OK PSUB a +PONG", line)
			case n <= filled:
				require.Equal(t, n, number(t, line, "a"))
				n++
			default:
				again++
				require.Equal(t, 500+again, number(t, line, "a"))
			}
		}
		pub.say("PUB a live", "PUB b live") // a replay that has not joined yet sends them behind those of the others
		assert.ElementsMatch(t, []string{"UPDATE a live", "UPDATE a live", "UPDATE b live"}, []string{sub.line(), sub.line(), sub.line()})
	})
	t.Run("sequence numbers begin with the reply, and nothing is lost", func(t *testing.T) {
		_, _, sub := newReplays(t, Options{})
		sub.sends("SUB a FROM 0\n")
		assert.Equal(t, "OK SUB a", sub.line())
		sub.takeAll(1, 10)
		sub.sends("SEQ ON\n")
		numbered := false
		for n := 11; n <= filled; {
			line := sub.line()
			switch {
			case strings.HasPrefix(line, "OK SEQ ON "):
				numbered = true
				continue
			case numbered:
				require.True(t, strings.HasPrefix(line, fmt.Sprintf("UPDATE #%d a %d ", n, n)), "%.40s", line)
			default:
				require.Equal(t, n, number(t, line, "a"))
			}
			n++
		}
		if !numbered { // the command took effect behind all of them
			assert.Contains(t, sub.line(), "OK SEQ ON ")
		}
	})
	t.Run("newer messages displace those to come: their number is reported in their place", func(t *testing.T) {
		s, pub, sub := newReplays(t, Options{})
		sub.sends("PSUB * FROM 0\n")
		assert.Equal(t, "OK PSUB *", sub.line())
		sub.takeAll(1, 10)
		pub.fill("a", filled+1, 3*filled)
		require.Greater(t, s.recent.Evicted(), uint64(500))
		reports := 0
		for n := 11; n <= 3*filled; n++ {
			line := sub.line()
			if missed := 0; strings.HasPrefix(line, "MISSED ") {
				_, err := fmt.Sscanf(line, "MISSED %d *", &missed)
				require.NoError(t, err)
				n += missed
				reports++
				line = sub.line()
			}
			require.Equal(t, n, number(t, line, "a"))
		}
		assert.Positive(t, reports)
		pub.fill("a", 3*filled+1, 3*filled+1)
		sub.takeAll(3*filled+1, 3*filled+1)
	})
	t.Run("what is published between its end and the join comes next, and what follows the join behind that", func(t *testing.T) {
		for _, name := range []string{"SUB a FROM 0", "PSUB * FROM #1 WHERE size > 0"} {
			s, pub, sub := newReplays(t, Options{})
			sub.sends(name + "\n")
			assert.Contains(t, sub.line(), "OK ")
			sub.takeAll(1, 10)
			release, blocked := make(chan struct{}), make(chan struct{})
			go s.runOnCore(func(broker.View) { close(blocked); <-release })
			<-blocked
			batch := func(first, last int) (text string) {
				for n := first; n <= last; n++ {
					text += fmt.Sprintf("PUB a %d\n", n)
				}
				return text
			}
			pub.sends(batch(filled+1, filled+50))
			for inFlight := false; !inFlight; runtime.Gosched() {
				pub.window.mu.Lock()
				inFlight = pub.window.inFlight > 0
				pub.window.mu.Unlock()
			}
			assert.Empty(t, sub.takeAll(11, filled)) // the join is requested behind the publishes
			for range 1000 {
				runtime.Gosched()
			}
			serveOn(t, s).sends(batch(filled+51, filled+100))
			sub.sends("PING\n")
			close(release)
			others := sub.takeAll(filled+1, filled+100)
			if len(others) == 0 { // the PING took effect behind all of them
				others = append(others, sub.line())
			}
			assert.Equal(t, []string{"+PONG"}, others)
			assert.GreaterOrEqual(t, sub.outbox.Counts().Replayed, int64(filled+50))
		}
	})
	t.Run("the client goes, or is killed", func(t *testing.T) {
		s, pub, sub := newReplays(t, Options{})
		other := serveOn(t, s)
		for _, p := range []*pipe{sub, other} {
			p.sends("SUB a FROM 0\n")
			assert.Equal(t, "OK SUB a", p.line())
			p.takeAll(1, 10)
		}
		_ = sub.sock.Close()
		pub.sends(fmt.Sprintf("CLIENT KILL ID %d\n", other.id))
		assert.Equal(t, ":1", pub.line())
		_, _ = io.Copy(io.Discard, other.from) // until it is closed
		assert.Equal(t, CloseReasonKilled, other.Reason())
		for s.Counts.Open.Load() > 1 {
			runtime.Gosched()
		}
		pub.sends("PUBSUB NUMSUB a\n")
		assert.Equal(t, []string{"*2", "$1", "a", ":0"}, []string{pub.line(), pub.line(), pub.line(), pub.line()})
	})
	t.Run("its bytes do not evict, and those of live messages do", func(t *testing.T) {
		s, pub, sub := newReplays(t, Options{SlowHard: 100 << 10, SlowSoft: 100 << 10})
		sub.say("SUB b")
		sub.sends("SUB a FROM 0\n")
		assert.Equal(t, "OK SUB a", sub.line())
		sub.takeAll(1, 10)
		pub.fill("b", 1, 90)
		others := sub.takeAll(11, filled)
		assert.Len(t, others, 90)
		sub.sends("PSUB a FROM 0\n")
		assert.Equal(t, "OK PSUB a", sub.line())
		sub.takeAll(1, 10)
		pub.fill("b", 1, 200)
		assert.Equal(t, CloseReasonSlowHard, sub.Reason())
		for s.Counts.Open.Load() > 1 {
			_, _ = io.Copy(io.Discard, sub.from)
		}
	})
	t.Run("a policy that drops messages drops live ones alone", func(t *testing.T) {
		for _, policy := range []string{"drop-oldest", "drop-newest"} {
			_, pub, sub := newReplays(t, Options{SlowHard: 100 << 10, SlowSoft: 100 << 10})
			sub.say("SLOW "+policy, "SUB b")
			sub.sends("SUB a FROM 0\n")
			assert.Equal(t, "OK SUB a", sub.line())
			sub.takeAll(1, 10)
			pub.fill("b", 1, 1000)
			sub.sends("PING\n")
			live, missed, pong := 0, 0, false
			for n := 11; n <= filled || !pong; {
				switch line := sub.line(); {
				case line == "+PONG":
					pong = true
				case strings.HasPrefix(line, "UPDATE b "):
					live++
				case strings.HasPrefix(line, "MISSED "):
					some := 0
					_, err := fmt.Sscanf(line, "MISSED %d b", &some)
					require.NoError(t, err)
					missed += some
				default:
					require.Equal(t, n, number(t, line, "a"))
					n++
				}
			}
			assert.Positive(t, missed, policy)
			assert.Equal(t, 1000, live+missed, policy)
		}
	})
}

// A predicate that hardly ever holds: the client gets what there is, its PING is answered, and an UNSUB ends it.
func TestARarePredicateOverALongReplay(t *testing.T) {
	s := newService(t, Options{Unprotected: true, Recent: 16 << 20})
	pub := serveOn(t, s)
	var batch strings.Builder
	for n := range 20_000 {
		fmt.Fprintf(&batch, "PUB a {\"n\": %d, \"user\": {\"name\": \"Ann\"}, \"text\": \"%s\"}\n", n, strings.Repeat("x", 100))
	}
	go func() { _, _ = io.WriteString(pub.sock, batch.String()) }()
	for range 20_000 {
		require.Equal(t, "OK PUB a", pub.line())
	}
	sub := serveOn(t, s)
	sub.sends("SUB a FROM 0 WHERE n == 19000 && user.name == \"Ann\"\nPING\n")
	got := []string{sub.line(), sub.line(), sub.line()}
	assert.Equal(t, "OK SUB a WHERE n == 19000 && user.name == \"Ann\"", got[0])
	assert.ElementsMatch(t, []string{"+PONG", fmt.Sprintf("UPDATE a {\"n\": 19000, \"user\": {\"name\": \"Ann\"}, \"text\": \"%s\"}", strings.Repeat("x", 100))}, got[1:])
	sub.sends("UNSUB\nSUB a LAST 2 WHERE n % 10000 == 1\n")
	assert.Contains(t, sub.line(), "OK UNSUB")
	assert.Contains(t, sub.line(), "OK SUB")
	assert.Contains(t, sub.line(), `{"n": 1,`)
	assert.Contains(t, sub.line(), `{"n": 10001,`)
	sub.sends("UNSUB\nSUB a FROM 0 WHERE n < 0\nUNSUB\nPING\n")
	for _, want := range []string{"OK UNSUB", "OK SUB", "OK UNSUB", "+PONG"} {
		assert.Contains(t, sub.line(), want)
	}
	pub.sends("PUB a {\"n\": -1}\n")
	assert.Equal(t, "OK PUB a", pub.line())
	sub.sends("PING\n")
	assert.Equal(t, "+PONG", sub.line())
}

// Large messages are replayed from where they were read, in each dialect, and escaped in lines.
func TestLargeMessagesAreReplayed(t *testing.T) {
	s := newService(t, Options{Unprotected: true, Recent: 8 << 20})
	pub, sub := serveOn(t, s), serveOn(t, s)
	large := strings.Repeat("x", outbox.LargePayload) + "\n"
	pub.sends(fmt.Sprintf("*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$%d\r\n%s\r\nPUBLISH a small\r\n", len(large), large))
	assert.Equal(t, []string{":0", ":0"}, []string{pub.line(), pub.line()})
	sub.sends("SUB a FROM 0\n")
	assert.Equal(t, "OK SUB a", sub.line())
	assert.Equal(t, "UPDATE a "+strings.TrimSuffix(large, "\n")+`\n`, sub.line())
	assert.Equal(t, "UPDATE a small", sub.line())
	sub.sends("UNSUB\n")
	sub.line()
	name := "* FROM 0"
	sub.sends(fmt.Sprintf("PSUBSCRIBE \"%s\"\r\n", name))
	want := fmt.Sprintf("*3\r\n$10\r\npsubscribe\r\n$8\r\n%s\r\n:1\r\n*4\r\n$8\r\npmessage\r\n$8\r\n%s\r\n$1\r\na\r\n$%d\r\n%s\r\n", name, name, len(large), large)
	got := make([]byte, len(want))
	_, err := io.ReadFull(sub.from, got)
	require.NoError(t, err)
	assert.Equal(t, want, string(got))
}

// More clients than there is memory for replay at once, and read nothing: those that hold most go, all others are served.
func TestManyReplaysWithinTheMemory(t *testing.T) {
	const clients = 300
	s := newService(t, Options{Unprotected: true, Recent: 8 << 20, MaxMemory: 32 << 20})
	pub := serveOn(t, s)
	pub.fill("a", 1, 2000)
	var all []*pipe
	for range clients {
		p := serveOn(t, s)
		p.sends("PSUB * FROM 0\n")
		all = append(all, p)
	}
	for s.Counts.Closes[CloseReasonMaxMemory].Load() == 0 {
		runtime.Gosched()
	}
	pub.fill("a", 2001, 2100)
	reader := serveOn(t, s)
	reader.sends("SUB a LAST 10\n")
	assert.Equal(t, "OK SUB a", reader.line())
	reader.takeAll(2091, 2100)
	pub.fill("a", 2101, 2200)
	reader.takeAll(2101, 2200)
	for s.memory.IsOver() {
		runtime.Gosched()
	}
	for _, p := range all {
		_ = p.sock.Close()
	}
	for s.Counts.Open.Load() > 2 {
		runtime.Gosched()
	}
	pub.sends("INFO stats\n")
	for line := pub.line(); !strings.HasPrefix(line, "recent_oldest:"); line = pub.line() {
		if kept, ok := strings.CutPrefix(line, "client_memory:"); ok {
			n, err := strconv.Atoi(kept)
			require.NoError(t, err)
			assert.Less(t, n, 1<<20, "what the replays held is given back")
		}
	}
}

// A position is refused where it cannot be: in a transaction, for a name of a line that is held, for streams.
func TestPositionsThatAreRefused(t *testing.T) {
	s := newService(t, Options{Unprotected: true, Recent: 1 << 20})
	p := serveOn(t, s)
	for _, c := range [][2]string{
		{"SUB a FROM #1", "OK SUB a"},
		{"SUB a FROM #1", "ERR a is subscribed to already, and goes on from where it is; to start anew, type: UNSUB a"},
		{"SUB b a LAST 1", "ERR a is subscribed to already, and goes on from where it is; to start anew, type: UNSUB a"},
		{"SUB a", "OK SUB a"},
		{"UNSUB a FROM #1", "OK UNSUB a"},
		{"SUB a FROM 1763719200000-0", "ERR 1763719200000-0 is an entry of one stream, so it needs the name of one durable topic (--durable); type: FROM EPOCH-123"},
		{"PSUB a* LAST 1 EACH", "ERR EACH is for durable topics (--durable), and a* is none; type: LAST 1"},
		{"SUB a FROM GROUP g WHERE x > 1", "ERR streams are not available here"},
		{"SUB a FROM yesterday", `ERR "yesterday" is no position; type FROM EPOCH-123, FROM #123, FROM 0, FROM -5m, FROM 2026-11-21T10:00:00Z, FROM 1763719200000-0 (an entry), FROM GROUP name, LAST 10 or LAST 1 EACH`},
		{"SUB a LAST few", `ERR LAST needs a number of messages behind it, not "few"; such as LAST 10`},
		{"SUB a FROM 0 WHERE", "ERR WHERE needs a predicate behind it, such as price > 100; type: SUB topic [topic ...]"},
		{`SUBSCRIBE "a FROM 0"`, `-ERR SUBSCRIBE takes no predicate and no position; use PSUBSCRIBE "orders WHERE price > 100"`},
		{`PSUBSCRIBE " FROM 0"`, "-ERR no topic before FROM; type: orders WHERE price > 100"},
		{"MULTI", "+OK"},
		{`PSUBSCRIBE "a FROM 0"`, "-ERR a predicate or a position is not possible inside a transaction"},
		{"EXEC", "-EXECABORT Transaction discarded because of previous errors."},
	} {
		p.sends(c[0] + "\n")
		assert.Equal(t, c[1], p.line(), c[0])
	}
}

// Replays that end before a pass takes them leave nothing behind: a client may begin and end very many during one pass.
func TestReplaysThatEndBeforeTheyBegin(t *testing.T) {
	_, _, sub := newReplays(t, Options{})
	sub.sends("SUB a FROM 0\n")
	assert.Equal(t, "OK SUB a", sub.line())
	sub.takeAll(1, 10) // from now on the pass waits for the client
	const rounds = 100
	before := sub.service.Counts.commands.Load()
	for range rounds {
		sub.sends(strings.Repeat("SUB b FROM 0\nUNSUB b\n", 100))
	}
	sub.sends("SUB b FROM #1\nPUB b live\n")
	for sub.service.Counts.commands.Load() < before+200*rounds+2 {
		runtime.Gosched()
	}
	f := sub.feeder.Load()
	f.mu.Lock()
	assert.LessOrEqual(t, len(f.starting), 2*maxDropped)
	f.mu.Unlock()
	others := sub.takeAll(11, filled)
	for others = append(others, sub.line()); others[len(others)-1] != "UPDATE b live"; others = append(others, sub.line()) {
	}
	assert.Len(t, others, 200*rounds+3)
	sub.service.runOnCore(func(broker.View) { assert.Empty(t, f.waiting) })
}

// LAST for very many patterns takes no memory for the numbers of all messages.
func TestLastOfManyPatternsTakesLittleMemory(t *testing.T) {
	const patterns, messages = 300, 20_000
	s := newService(t, Options{Unprotected: true, Recent: 1 << 20})
	pub, sub := serveOn(t, s), serveOn(t, s)
	go func() { _, _ = io.WriteString(pub.sock, strings.Repeat("PUB a x\n", messages)) }()
	for range messages {
		require.Equal(t, "OK PUB a", pub.line())
	}
	var commands strings.Builder
	for n := range patterns {
		fmt.Fprintf(&commands, "PSUB %s LAST %d\n", strings.Repeat("*", n+1), messages)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() { _, _ = io.WriteString(sub.sock, commands.String()) }()
	for sub.outbox.ReplayBytes() <= maxAhead {
		runtime.Gosched()
	}
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20))
	assert.Equal(t, "OK PSUB *", sub.line())
}

// A connection that ends stops the work for its replays in the middle of a chunk.
func TestAReplayEndsInTheMiddleOfAChunk(t *testing.T) {
	s := newService(t, Options{Unprotected: true, Recent: 1 << 20})
	var by abortSignal
	var k matches
	k.init(s, &by, nil)
	_, ok := k.of(&recent.Message{Topic: []byte("a")}, nil)
	assert.True(t, ok)
	by.raise()
	_, ok = k.of(&recent.Message{Topic: []byte("a")}, nil)
	assert.False(t, ok)
	k.end()
}

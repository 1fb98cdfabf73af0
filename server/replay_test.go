package server_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

// replayEnd begins the last message to each topic.
const replayEnd = "end"

// published is a message as a client with sequence numbers gets it.
type published struct {
	seq            int
	topic, payload string
}

// readPublished reads the next message of a line client with SEQ ON, or of a RESP3 client with CLIENT CAPA seq. What else comes is
// returned as other. previous is -1 in lines.
func readPublished(t *testing.T, c *harness.Conn, resp bool) (m published, name string, previous int, other string) {
	if !resp {
		line := c.Line()
		parts := strings.SplitN(line, " ", 4)
		if parts[0] != "UPDATE" {
			return m, "", 0, line
		}
		seq, err := strconv.Atoi(parts[1][1:])
		require.NoError(t, err)
		return published{seq, parts[2], parts[3]}, "", -1, ""
	}
	frame, err := c.Frame()
	require.NoError(t, err)
	parts := strings.Split(string(frame), "\r\n")
	if parts[0] != ">6" {
		return m, "", 0, string(frame)
	}
	seq, err := strconv.Atoi(parts[9][1:])
	require.NoError(t, err)
	before, err := strconv.Atoi(parts[10][1:])
	require.NoError(t, err)
	return published{seq, parts[6], parts[8]}, parts[4], before, ""
}

// replayer is a subscriber that joins in the middle of everything.
type replayer struct {
	resp      bool
	glob      string
	predicate bool // size > 40
	from      int
	got       []published
	previous  []int
}

func (r *replayer) wants(m published) bool {
	topic := r.glob == "*" || r.glob == m.topic || r.glob == "topic?"
	return topic && m.seq >= r.from && (!r.predicate || len(m.payload) > 40)
}

func (r *replayer) run(t *testing.T, s *harness.Server) {
	c := s.Dial(t)
	defer func() { _ = c.Close() }()
	name := fmt.Sprintf("%s FROM #%d", r.glob, r.from)
	if r.predicate {
		name += " WHERE size > 40"
	}
	if r.resp {
		c.Command("HELLO", "3")
		c.Command("CLIENT", "CAPA", "seq")
		c.Command("PSUBSCRIBE", name)
	} else {
		c.Send("SEQ ON\nPSUB %s\n", name)
	}
	for {
		m, pattern, previous, other := readPublished(t, c, r.resp)
		switch {
		case strings.Contains(strings.ToLower(other), "missed"):
			t.Errorf("%s: %s", name, other)
			return
		case other != "":
			continue
		case r.resp && pattern != name:
			t.Errorf("%s is called %s", name, pattern)
		}
		if strings.HasPrefix(m.payload, replayEnd) {
			return
		}
		r.got, r.previous = append(r.got, m), append(r.previous, previous)
	}
}

// Clause 8: whenever subscriptions begin and join, while publishers go on, each gets what a witness got from its position on: no hole,
// nothing twice, in the one order.
func TestReplaysJoinWithoutASeam(t *testing.T) {
	requireNoSeam(t, harness.Start(t, server.Options{Recent: 64 << 20, SlowHard: 1 << 30, SlowSoft: 1 << 30}), "PUBLISH")
}

// The same holds for durable topics, and for a pattern over these and others: its messages come from the log and from memory.
func TestReplaysOfDurableTopicsJoinWithoutASeam(t *testing.T) {
	s, stop := startDurable(t, t.TempDir(), server.Options{Recent: 64 << 20, SlowHard: 1 << 30, SlowSoft: 1 << 30})
	defer stop()
	c := s.Dial(t)
	c.Command("CONFIG", "SET", "durable", "topic[01]")
	require.Equal(t, "+OK", c.Line())
	requireNoSeam(t, s, "XADD")
}

// startDurable starts a server with the streams of a directory.
func startDurable(t *testing.T, dir string, o server.Options) (s *harness.Server, stop func()) {
	t.Helper()
	kept, err := store.Open(store.Options{Dir: dir, SegmentSize: store.MinSegmentSize})
	require.NoError(t, err)
	o.Store, o.Epoch, o.Resolve, o.Sequence = kept, kept.Epoch(), kept.Resolve, kept.Sequence()
	s = harness.Start(t, o)
	kept.Start(s.Service())
	return s, func() {
		kept.Stop()
		last := s.Info(t, "sequence")
		s.Stop()
		require.NoError(t, kept.Close(uint64(last))) //nolint:gosec // a count
	}
}

// requireNoSeam publishes to three topics, also by another command than PUBLISH to two of them, and has subscriptions begin meanwhile.
func requireNoSeam(t *testing.T, s *harness.Server, other string) {
	seed := *orderSeed
	if seed == 0 {
		seed = testseed.New()
	}
	t.Logf("replay with -order.seed=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	witness := s.Dial(t)
	witness.Send("SEQ ON\nPSUB topic*\n")
	witness.Line()
	witness.Line()
	globs := []string{"topic0", "topic1", "topic2", "*", "topic?"}
	var publishing, reading sync.WaitGroup
	for i := range 3 {
		publisher := rand.New(rand.NewPCG(seed, uint64(i+1)))
		publishing.Go(func() {
			c := s.Dial(t)
			for n := 0; n < *orderCount; {
				batch, lines := "", 0
				for range 1 + publisher.IntN(30) {
					kind := []string{"PUBLISH", "PUBLISH", other, "SPUBLISH"}[publisher.IntN(4)]
					topic, payload := topicName(publisher.IntN(3)), harness.Payload(i, n, publisher.IntN(80))
					if lines++; kind == "XADD" {
						batch += harness.RESP(kind, topic, "*", "message", payload)
						lines++ // its reply has two
					} else {
						batch += harness.RESP(kind, topic, payload)
					}
					n++
				}
				c.Send("%s", batch)
				for range lines {
					c.Line()
				}
			}
		})
	}
	var all []*replayer
	for i := range 40 {
		c := s.Dial(t)
		c.Send("SEQ ON\nSEQ\n")
		c.Line()
		last, err := strconv.Atoi(strings.Split(c.Line(), "#")[1])
		require.NoError(t, err)
		_ = c.Close()
		r := &replayer{resp: i%2 == 0, glob: globs[rng.IntN(len(globs))], predicate: rng.IntN(2) == 0, from: 1 + rng.IntN(last+1)}
		if rng.IntN(4) == 0 {
			r.from = last + 1
		}
		all = append(all, r)
		reading.Go(func() { r.run(t, s) })
	}
	publishing.Wait()
	end := s.Dial(t)
	for topic := range 3 {
		end.Command("PUBLISH", topicName(topic), replayEnd+strings.Repeat(".", 50))
		end.Line()
	}
	reading.Wait()
	var order []published
	for {
		m, _, _, _ := readPublished(t, witness, false)
		if strings.HasPrefix(m.payload, replayEnd) {
			break
		}
		order = append(order, m)
	}
	for _, r := range all {
		var want []published
		var before []int
		for _, m := range order {
			if r.wants(m) {
				before = append(before, -1)
				if n := len(want); r.resp && n > 0 {
					before[n] = want[n-1].seq
				} else if r.resp {
					before[n] = 0
				}
				want = append(want, m)
			}
		}
		for i, m := range want {
			require.Less(t, i, len(r.got), "FROM #%d of %s lacks the last messages", r.from, r.glob)
			require.Equal(t, m, r.got[i], "FROM #%d of %s, message %d of %d, %d have come", r.from, r.glob, i, len(want), len(r.got))
		}
		require.Len(t, r.got, len(want), "FROM #%d of %s", r.from, r.glob)
		require.Equal(t, before, r.previous, "the numbers of the messages before, FROM #%d of %s", r.from, r.glob)
	}
}

// replayServer has some messages: 1 to n, to topic a if odd, else to b.
func replayServer(t *testing.T, o server.Options, n int) (*harness.Server, *harness.Conn) {
	s := harness.Start(t, o)
	pub := s.Dial(t)
	for i := range n {
		pub.Send("PUB %s message %d\n", []string{"a", "b"}[i%2], i+1)
		pub.Line()
	}
	return s, pub
}

// Each form of a position, in lines and over RESP.
func TestPositions(t *testing.T) {
	s, pub := replayServer(t, server.Options{Recent: 1 << 20}, 10)
	pub.Send("SEQ ON\n")
	epoch := strings.Fields(pub.Line())[3]
	for clause, want := range map[string][]string{
		"FROM #7":                     {"7", "9"},
		"FROM #8":                     {"9"},
		"FROM #11":                    nil,
		"FROM #0":                     {"1", "3", "5", "7", "9"},
		"FROM " + epoch + "-9":        {"9"},
		"FROM 0":                      {"1", "3", "5", "7", "9"},
		"FROM -1h":                    {"1", "3", "5", "7", "9"},
		"FROM 2000-01-01T00:00:00Z":   {"1", "3", "5", "7", "9"},
		"FROM 2100-01-01T00:00:00Z":   nil,
		"FROM 9999-12-31T23:59:59Z":   nil,
		"FROM 0001-01-01T00:00:00Z":   {"1", "3", "5", "7", "9"},
		"FROM -2562047h":              {"1", "3", "5", "7", "9"},
		"LAST 2":                      {"7", "9"},
		"LAST 100":                    {"1", "3", "5", "7", "9"},
		"LAST 1 WHERE size < 10":      {"9"},
		"FROM 0 WHERE topic == \"b\"": nil,
	} {
		lines := s.Dial(t)
		lines.Send("SUB a %s\n", clause)
		_, where, _ := strings.Cut(clause, " WHERE ")
		if where != "" {
			where = " WHERE " + where
		}
		lines.Expect("OK SUB a" + where + "\n")
		for _, n := range want {
			lines.Expect("UPDATE a message " + n + "\n")
		}
		lines.Send("UNSUB\nPING\n")
		lines.Expect("OK UNSUB a" + where + "\n+PONG\r\n")

		resp := s.Dial(t)
		resp.Command("PSUBSCRIBE", "a "+clause)
		resp.Expect(fmt.Sprintf("*3\r\n$10\r\npsubscribe\r\n$%d\r\na %s\r\n:1\r\n", 2+len(clause), clause))
		for _, n := range want {
			resp.Expect(fmt.Sprintf("*4\r\n$8\r\npmessage\r\n$%d\r\na %s\r\n$1\r\na\r\n$9\r\nmessage %s\r\n", 2+len(clause), clause, n))
		}
		resp.Command("PING")
		resp.Expect("*2\r\n$4\r\npong\r\n$0\r\n\r\n")
	}
}

// What is not kept is reported in its place: in a line, in a push of RESP3, and not in RESP2, which has no frame for it.
func TestWhatIsNoLongerKept(t *testing.T) {
	s := harness.Start(t, server.Options{Recent: 64 << 10})
	pub := s.Dial(t)
	for i := range 1000 {
		pub.Send("PUB a %d %s\n", i+1, strings.Repeat("x", 200))
		pub.Line()
	}
	pub.Command("INFO", "stats")
	info, err := pub.Frame()
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(info), "recent_oldest:")
	oldest, err := strconv.Atoi(rest[:strings.IndexByte(rest, '\r')])
	require.NoError(t, err)
	require.Greater(t, oldest, 100)
	first := fmt.Sprintf("UPDATE a %d xxx", oldest)
	for _, c := range []struct{ line, missed, first string }{
		{"PSUB * FROM #1", fmt.Sprintf("MISSED %d *", oldest-1), first},
		{"PSUB * FROM #50", fmt.Sprintf("MISSED %d *", oldest-50), first},
		{"PSUB * FROM #50 WHERE size > 0", "MISSED ? * WHERE size > 0", first},
		{"SUB a FROM #50", "MISSED ? a", first},
		{"SUB a FROM a000000000000000-5", "MISSED ? a", first},
		{"SUB a FROM 2000-01-01T00:00:00Z", "MISSED ? a", first},
		{"SUB a FROM #2000", "MISSED ? a", ""},
		{"SUB a FROM 0", "", first},
		{"SUB a LAST 100000", "", first},
	} {
		lines := s.Dial(t)
		lines.Send("%s\n", c.line)
		assert.Contains(t, lines.Line(), "OK ")
		if c.missed != "" {
			assert.Equal(t, c.missed, lines.Line(), c.line)
		}
		if c.first != "" {
			assert.True(t, strings.HasPrefix(lines.Line(), c.first), c.line)
		}
		_ = lines.Close()
	}
	three := s.Dial(t)
	three.Command("HELLO", "3")
	_, err = three.Frame()
	require.NoError(t, err)
	three.Command("PSUBSCRIBE", "* FROM #1", "a FROM #1")
	three.Expect(">3\r\n$10\r\npsubscribe\r\n$9\r\n* FROM #1\r\n:1\r\n>3\r\n$10\r\npsubscribe\r\n$9\r\na FROM #1\r\n:2\r\n")
	three.Expect(fmt.Sprintf(">3\r\n$6\r\nmissed\r\n$9\r\n* FROM #1\r\n:%d\r\n>3\r\n$6\r\nmissed\r\n$9\r\na FROM #1\r\n_\r\n", oldest-1))
	two := s.Dial(t)
	two.Command("PSUBSCRIBE", "a FROM #1")
	two.Expect("*3\r\n$10\r\npsubscribe\r\n$9\r\na FROM #1\r\n:1\r\n*4\r\n$8\r\npmessage\r\n$9\r\na FROM #1\r\n$1\r\na\r\n")
}

// Without recent messages a program resumes all the same, and gets to know whether it missed something.
func TestPositionsWithoutRecentMessages(t *testing.T) {
	s, pub := replayServer(t, server.Options{}, 4)
	c := s.Dial(t)
	c.Send("SUB a FROM #5\nSUB b FROM #4\nPSUB c FROM a000000000000000-1\nPSUB d LAST 2\n")
	c.Expect("OK SUB a\nOK SUB b\nMISSED ? b\nOK PSUB c\nMISSED ? c\n")
	c.Expect("ERR no messages are kept here for LAST 2; start conch with --recent 64MiB\n")
	pub.Send("PUB a live\nPUB b live\n")
	c.Expect("UPDATE a live\nUPDATE b live\n")
	verb := s.Dial(t)
	verb.Command("HELLO", "3")
	_, err := verb.Frame()
	require.NoError(t, err)
	verb.Command("SUB", "a", "b", "FROM", "#1")
	verb.Expect("+OK SUB a b\r\n>3\r\n$6\r\nmissed\r\n$1\r\na\r\n_\r\n>3\r\n$6\r\nmissed\r\n$1\r\nb\r\n_\r\n")
}

// A position of an earlier start is a number of this one, where the server can resolve it.
func TestPositionsOfEarlierStarts(t *testing.T) {
	const before = "a00000000000000b"
	resolve := func(epoch string, number uint64) (uint64, bool) { return number, epoch == before && number <= 101 }
	for _, recent := range []int{0, 1 << 20} {
		s := harness.Start(t, server.Options{Recent: recent, Epoch: "a00000000000000c", Sequence: 100, Resolve: resolve})
		c, pub := s.Dial(t), s.Dial(t)
		pub.Send("SEQ ON\n")
		pub.Expect("OK SEQ ON a00000000000000c #100\n")
		c.Send("SUB a FROM %s-101\n", before) // nothing was missed
		c.Expect("OK SUB a\n")
		c.Send("SUB b FROM %s-100\n", before) // message 100 is of the earlier start, and not kept
		c.Expect("OK SUB b\nMISSED ? b\n")
		c.Send("PSUB * FROM %s-102\n", before) // a number that was never given
		c.Expect("OK PSUB *\nMISSED ? *\n")
		pub.Send("PUB a live\n")
		pub.Expect("OK PUB a #101\n")
		c.Expect("UPDATE a live\nUPDATE a live\n")
		if recent > 0 {
			late := s.Dial(t)
			late.Send("SUB a FROM %s-101\nPSUB a* FROM #1\n", before)
			late.Expect("OK SUB a\nOK PSUB a*\n")
		}
	}
}

package server_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

var sequenceSeed = flag.Uint64("sequence.seed", 0, "replay a run of TestSequencesShowWhatIsMissing")

// Subscribers of both dialects, some of which do not read for a while and lose messages, by either policy. What each
// subscription was owed is known from the answers to the publishers. A RESP3 message shows which one came before it. In
// front of a line, MISSED has the count of what is missing.
func TestSequencesShowWhatIsMissing(t *testing.T) {
	seed := *sequenceSeed
	if seed == 0 {
		seed = testseed.New()
	}
	t.Logf("-sequence.seed=%d", seed)
	// Nobody is disconnected, however slow the machine is.
	const never = time.Hour
	n := &numbering{t: t, random: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // a test that is to be replayed
		server: harness.Start(t, server.Options{SlowHard: 1 << 20, SlowConsumer: outbox.DropOldest,
			SlowTime: never, KeepAlive: never})}
	n.join(false, "SEQ ON\n", "SUB a b\nPSUB c*\n")
	n.join(false, "SEQ ON\r\n", "SUB c a\r\nPSUB d\r\n")
	n.join(false, "HELLO 3\nCLIENT CAPA seq\n", "SUBSCRIBE a b c\r\nPSUBSCRIBE * a*\r\n")
	n.join(false, "SEQ ON\n", "SUB a b"+large+"\nPSUB c*"+large+"\n")
	n.join(false, "HELLO 3\nCLIENT CAPA seq\n", "SUBSCRIBE b\nPSUBSCRIBE a"+large+" *\n")
	for _, policy := range []string{"drop-oldest", "drop-newest"} {
		n.join(true, "SEQ ON\nSLOW "+policy+"\n", "SUB a b\nPSUB c*\n")
		n.join(true, "SEQ ON\nSLOW "+policy+"\n", "SUB a\n")
		n.join(true, "SEQ ON\r\nSLOW "+policy+"\r\n", "SUB c a\r\nPSUB d\r\n")
		n.join(true, "SEQ ON\nSLOW "+policy+"\n", "SUB a b d"+large+"\nPSUB c*"+large+"\n")
		n.join(true, "HELLO 3\nCLIENT CAPA seq\nSLOW "+policy+"\n", "SUBSCRIBE a b c\nPSUBSCRIBE * a*\n")
	}
	n.join(true, "", "SUB a b c d\n") // it asks when it has lost something
	lines, resp := n.server.Dial(t), n.server.Dial(t)
	lines.Send("SEQ ON\n")
	lines.Line()
	resp.Send("HELLO 3\nCLIENT CAPA seq\n")
	for range 2 {
		_, err := resp.Frame()
		require.NoError(t, err)
	}
	for round := 0; round < 500 || n.holes() == 0; round++ {
		if round%2 == 0 {
			n.publish(lines, false)
		} else {
			n.publish(resp, true)
		}
		for _, s := range n.subscribers {
			switch {
			case !s.lazy:
				s.read()
				if n.random.IntN(10) == 0 {
					s.again()
				}
			case n.random.IntN(200) == 0:
				s.read()
			case n.random.IntN(200) == 0:
				s.c.Send("SEQ ON%s", s.end)
			}
		}
	}
	for _, s := range n.subscribers {
		s.read()
		if s.lazy {
			continue
		}
		assert.Zero(t, s.holes, "who reads misses nothing")
		for key, owed := range s.owed {
			assert.Equal(t, len(owed), s.received[key], key)
		}
	}
}

// large is a predicate that keeps back two messages of five.
const (
	large     = " WHERE size>2000"
	largeSize = 2000
)

// numbering is one run of the test.
type numbering struct {
	t           *testing.T
	random      *rand.Rand
	server      *harness.Server
	subscribers []*numbered
	last        int // the number given last
}

// numbered is one subscriber, with the messages that are owed to each of its subscriptions. Those are known by a letter
// for exact ones and by the pattern's own name, as RESP3 shows it; a line does not show it, so in lines none overlap.
type numbered struct {
	t        *testing.T
	c        *harness.Conn
	lazy     bool
	end      string
	resp     bool
	subs     []string // what to send to subscribe to all
	owed     map[string][]int
	came     map[string]int // the number that came last, by subscription
	received map[string]int
	missed   map[string]int // by MISSED since the last message, by subscription
	holes    int
}

// holes is how many places have been found, in lines, where messages are missing.
func (n *numbering) holes() (holes int) {
	for _, s := range n.subscribers {
		if !s.resp {
			holes += s.holes
		}
	}
	return holes
}

func (n *numbering) join(lazy bool, greeting, subscribe string) {
	s := &numbered{t: n.t, c: n.server.Dial(n.t), lazy: lazy, resp: strings.HasPrefix(greeting, "HELLO"), end: "\n"}
	if strings.HasSuffix(subscribe, "\r\n") {
		s.end = "\r\n"
	}
	require.NoError(n.t, s.c.Conn.(*net.TCPConn).SetReadBuffer(64<<10))
	s.c.Send("%s", greeting)
	for range strings.Count(greeting, "\n") {
		_, err := s.c.Frame()
		require.NoError(n.t, err)
	}
	s.subs = strings.SplitAfter(strings.TrimSuffix(subscribe, s.end), s.end)
	s.subscribe()
	n.subscribers = append(n.subscribers, s)
}

// subscribe begins with nothing owed.
func (s *numbered) subscribe() {
	s.owed, s.came, s.received, s.missed = make(map[string][]int), make(map[string]int), make(map[string]int), make(map[string]int)
	for _, line := range s.subs {
		for _, name := range s.ask("", line) {
			key := name
			if line[0] == 'P' {
				key = "pattern " + name
			}
			s.owed[key] = nil
		}
	}
}

// ask subscribes to what a line says, or leaves it, and returns the names in it. A predicate holds for all names of a line,
// and over RESP for the one that it stands behind.
func (s *numbered) ask(prefix, line string) []string {
	verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	verb = strings.Replace(verb, "SUB", prefix+"SUB", 1)
	left, predicate := strings.CutSuffix(rest, large)
	names := strings.Fields(left)
	if s.resp {
		names = strings.Fields(strings.ReplaceAll(rest, large, "#"))
		for i := range names {
			names[i] = strings.ReplaceAll(names[i], "#", large)
		}
		s.c.Command(append([]string{verb}, names...)...)
	} else {
		s.c.Send("%s %s%s", verb, rest, s.end)
	}
	for i := range names {
		_, err := s.c.Frame()
		require.NoError(s.t, err)
		if predicate && !s.resp {
			names[i] += large
		}
	}
	return names
}

// again leaves everything and subscribes once more.
func (s *numbered) again() {
	for _, line := range s.subs {
		s.ask("UN", line)
	}
	s.subscribe()
}

// publish sends messages in one write, runs among them, and notes to whom each is owed.
func (n *numbering) publish(c *harness.Conn, resp bool) {
	var b strings.Builder
	var topics, payloads []string
	for range 1 + n.random.IntN(10) {
		topic := string(rune('a' + n.random.IntN(4)))
		for range 1 + n.random.IntN(5) {
			payload := fmt.Sprintf("%d-%s", n.last+len(topics)+1, strings.Repeat("x", n.random.IntN(5000))) // its own number
			if resp {
				b.WriteString(harness.RESP("PUBLISH", topic, payload))
			} else {
				fmt.Fprintf(&b, "PUB %s %s\n", topic, payload)
			}
			topics, payloads = append(topics, topic), append(payloads, payload)
		}
	}
	c.Send("%s", b.String())
	for i, topic := range topics {
		n.last++
		receivers := 0
		for _, s := range n.subscribers {
			for key := range s.owed {
				name, predicate := strings.CutSuffix(key, large)
				glob, pattern := strings.CutPrefix(name, "pattern ")
				if predicate && len(payloads[i]) <= largeSize {
					continue
				}
				if name == topic || pattern && (glob == "*" || glob[0] == topic[0]) {
					s.owed[key] = append(s.owed[key], n.last)
					receivers++
				}
			}
		}
		if resp {
			c.Expect(fmt.Sprintf("*2\r\n:%d\r\n:%d\r\n", receivers, n.last))
		} else {
			c.Expect(fmt.Sprintf("OK PUB %s #%d\n", topic, n.last))
		}
	}
}

// read takes all that is there for a subscriber, and holds each message's word on the one before it against what is owed.
func (s *numbered) read() {
	s.c.Send("PING%s", s.end)
	for {
		frame, err := s.c.Frame()
		require.NoError(s.t, err)
		text := string(frame)
		if text == "+PONG\r\n" {
			return
		}
		if !s.resp {
			s.line(strings.Fields(text))
			continue
		}
		parts := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
		if len(parts) < 3 || parts[2] != "message" && parts[2] != "pmessage" {
			continue
		}
		key := parts[4]
		if parts[2] == "pmessage" {
			key = "pattern " + key
		}
		number, previous := value(s.t, parts[len(parts)-2]), value(s.t, parts[len(parts)-1])
		before := s.before(key, number)
		require.Equal(s.t, before, previous, "%s: before %d", key, number)
		s.note(key, number, before)
	}
}

func value(t *testing.T, part string) int {
	n, err := strconv.Atoi(part[1:])
	require.NoError(t, err, part)
	return n
}

func (s *numbered) line(words []string) {
	switch words[0] {
	case "MISSED":
		count, err := strconv.Atoi(words[1])
		require.NoError(s.t, err)
		s.missed[s.key(strings.Join(words[2:], " "))] += count
		return
	case "UPDATE":
	default:
		return
	}
	own, _, _ := strings.Cut(words[len(words)-1], "-")
	number, err := strconv.Atoi(own)
	require.NoError(s.t, err)
	key := s.key(words[len(words)-2])
	before := s.before(key, number)
	if len(words) > 3 {
		require.Equal(s.t, "#"+own, words[1], key)
	}
	missing := s.place(key, number) - 1
	if came := s.came[key]; came != 0 {
		missing -= s.place(key, came)
	}
	require.Equal(s.t, missing, s.missed[key], "%s: between %d and %d", key, s.came[key], number)
	s.missed[key] = 0
	s.note(key, number, before)
}

// key finds a subscription by a name in a line: a pattern's own, or a topic.
func (s *numbered) key(name string) string {
	name = strings.TrimSuffix(strings.TrimSuffix(name, large), "*")
	for key := range s.owed {
		if strings.TrimPrefix(strings.TrimSuffix(strings.TrimSuffix(key, large), "*"), "pattern ") == name {
			return key
		}
	}
	return name
}

// place is the place of a message among those that are owed, from 1 on.
func (s *numbered) place(key string, number int) int {
	i, owed := slices.BinarySearch(s.owed[key], number)
	require.True(s.t, owed, "%s is not owed message %d", key, number)
	return i + 1
}

// before is the number before one in what is owed, 0 for the first.
func (s *numbered) before(key string, number int) int {
	i := s.place(key, number)
	if i == 1 {
		return 0
	}
	return s.owed[key][i-2]
}

func (s *numbered) note(key string, number, before int) {
	if before != s.came[key] {
		s.holes++
	}
	s.came[key] = number
	s.received[key]++
}

// The epoch and the sequence are the same for all connections; a restart begins another epoch.
func TestEpochs(t *testing.T) {
	seen := make(map[string]bool)
	for range 2 {
		s := harness.Start(t, server.Options{})
		c := s.Dial(t)
		c.Send("SEQ ON\nPUB a one\n")
		epoch := strings.Fields(c.Line())[3]
		assert.Regexp(t, "^[a-f][0-9a-f]{15}$", epoch)
		assert.Equal(t, "OK PUB a #1", c.Line())
		info := ask(t, c, "INFO", "stats")
		assert.Contains(t, info, "\r\nepoch:"+epoch+"\r\nsequence:1\r\n")
		c.Send("HELLO 3\n")
		frame, err := c.Frame()
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(string(frame), "$5\r\nepoch\r\n$16\r\n"+epoch+"\r\n$8\r\nsequence\r\n:1\r\n"), "%q", frame)
		assert.False(t, seen[epoch])
		seen[epoch] = true
	}
}

// What EXEC sends to its own connection is held back, and may be lost meanwhile: MISSED has the count.
func TestATransactionLosesMessagesWithSequence(t *testing.T) {
	for _, policy := range []outbox.Policy{outbox.DropNewest, outbox.DropOldest} {
		t.Run(policy.String(), func(t *testing.T) {
			s := harness.Start(t, server.Options{SlowHard: 25, SlowConsumer: policy})
			c := s.Dial(t)
			c.Send("SEQ ON\n")
			c.Line()
			c.Send("SUB a b\n")
			c.Expect("OK SUB a\nOK SUB b\n")
			c.Command("MULTI")
			c.Expect("+OK\r\n")
			for _, topic := range strings.Fields("a b a a b") {
				c.Command("PUBLISH", topic, "x")
				c.Expect("+QUEUED\r\n")
			}
			c.Command("EXEC")
			c.Expect("*5\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\nUPDATE #1 a x\nUPDATE #2 b x\nMISSED 2 a\nMISSED 1 b\n")
			harness.Eventually(t, func() bool { return s.Info(t, "messages_delivered") == 2 }, "they are not counted")
			c.Send("PUB a x\n")
			c.Expect("OK PUB a #6\nUPDATE #6 a x\n")
			c.Send("PUB b x\n")
			c.Expect("OK PUB b #7\nUPDATE #7 b x\n")
			c.Send("PUB a x\n")
			c.Expect("OK PUB a #8\nUPDATE #8 a x\n")
		})
	}
}

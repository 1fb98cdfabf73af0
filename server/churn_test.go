package server_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

var churnLives = flag.Int("churn.lives", 30, "how often each subscriber of the churn test comes and goes")

// Publishers flood, and subscribers with predicates come and go in the middle of it: some leave, some break off, some are
// killed. The answers to the publishers give each message its number; so it is known what each subscriber was to get from
// its subscribe on, to the message.
func TestSubscribersComeAndGo(t *testing.T) {
	for _, tt := range []struct {
		name       string
		publishers []string
		told       bool // all answers say how many a message goes to
	}{
		{"publishers over RESP", []string{"run", "pipeline", "single", "transaction"}, true},
		{"publishers in both dialects", []string{"run", "lines", "single"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &churn{t: t, server: harness.Start(t, server.Options{SlowHard: 1 << 30}), sent: make(map[int]sending), stop: make(chan struct{})}
			var publishing, living sync.WaitGroup
			for i, kind := range tt.publishers {
				publishing.Go(func() { c.publish(i, kind) })
			}
			lives := make([][]*life, 6)
			for i := range lives {
				living.Go(func() {
					for j := range *churnLives {
						if l := c.live(i, j); l != nil {
							lives[i] = append(lives[i], l)
						}
					}
				})
			}
			living.Wait()
			close(c.stop)
			publishing.Wait()
			if t.Failed() {
				return
			}
			c.check(lives)
			c.settle(tt.told)
		})
	}
}

// churn is one run.
type churn struct {
	t      *testing.T
	server *harness.Server
	stop   chan struct{}

	mu        sync.Mutex
	sent      map[int]sending // by number
	receivers int
}

type sending struct {
	topic   string
	k       int
	payload string
}

// longing is a predicate and what it says.
type longing struct {
	topics, text string
	wants        func(s sending) bool
}

var longings = []longing{
	{"a", "k == 3", func(s sending) bool { return s.topic == "a" && s.k == 3 }},
	{"b", "k >= 4 && k != 5", func(s sending) bool { return s.topic == "b" && s.k >= 4 && s.k != 5 }},
	{"[ab]", `k in [0, 6] && topic != "c"`, func(s sending) bool { return s.topic != "c" && (s.k == 0 || s.k == 6) }},
	{"a", `!has(nosuch) && payload contains "\"k\":1}"`, func(s sending) bool { return s.topic == "a" && s.k == 1 }},
}

// numbersIn are what an answer to numbered publishes says, over RESP and in lines.
var (
	numbersIn = regexp.MustCompile(`\*2\r\n:(\d+)\r\n:(\d+)\r\n`)
	numberIn  = regexp.MustCompile(`^OK PUB \w #(\d+)\n$`)
)

// publish floods topics, c without predicates among them, until all lives are lived.
func (c *churn) publish(who int, kind string) {
	random := rand.New(rand.NewPCG(testseed.New(), 0)) //nolint:gosec // a test
	conn := c.server.Dial(c.t)
	defer func() { _ = conn.Close() }()
	conn.Send("HELLO 3\nCLIENT CAPA seq\n")
	for range 2 {
		if _, err := conn.Frame(); !assert.NoError(c.t, err) {
			return
		}
	}
	for i := 0; ; {
		select {
		case <-c.stop:
			return
		default:
		}
		count, topic := 1+random.IntN(100), "abc"[random.IntN(3)]
		if kind == "single" {
			count = 1
		}
		var batch []sending
		var text strings.Builder
		for range count {
			if kind == "pipeline" || kind == "transaction" {
				topic = "abc"[random.IntN(3)]
			}
			s := sending{topic: string(topic), k: random.IntN(7)}
			s.payload = fmt.Sprintf(`{"p":%d,"i":%d,"k":%d}`, who, i, s.k)
			i++
			batch = append(batch, s)
			if kind == "lines" {
				fmt.Fprintf(&text, "PUB %s %s\n", s.topic, s.payload)
			} else {
				text.WriteString(harness.RESP("PUBLISH", s.topic, s.payload))
			}
		}
		frames := count
		if kind == "transaction" {
			text.WriteString(harness.RESP("EXEC"))
			conn.Send("%s", harness.RESP("MULTI"))
			frames += 2
		}
		conn.Send("%s", text.String())
		if !c.answered(conn, batch, frames) {
			return
		}
	}
}

// answered reads the answers to a batch, and notes which numbers its messages got.
func (c *churn) answered(conn *harness.Conn, batch []sending, frames int) bool {
	var numbers []string
	receivers := 0
	for range frames {
		frame, err := conn.Frame()
		if !assert.NoError(c.t, err) {
			return false
		}
		if line := numberIn.FindSubmatch(frame); line != nil {
			numbers = append(numbers, string(line[1]))
			continue
		}
		for _, pair := range numbersIn.FindAllSubmatch(frame, -1) {
			n, _ := strconv.Atoi(string(pair[1])) // digits
			receivers += n
			numbers = append(numbers, string(pair[2]))
		}
	}
	if !assert.Len(c.t, numbers, len(batch)) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receivers += receivers
	for i, s := range batch {
		n, _ := strconv.Atoi(numbers[i]) // digits
		c.sent[n] = s
	}
	return true
}

// life is one subscriber from its subscribe to its end. The first and the last number bracket either instant.
type life struct {
	longing
	subscribed, gone [2]int // gone is 0, 0 if the end is not known
	got              []int
	payloads         []string
}

// live subscribes, gets some messages, and goes.
func (c *churn) live(who, turn int) *life {
	l := &life{longing: longings[(who+turn)%len(longings)]}
	condition := l.text
	if turn%2 == 1 { // one that nobody has had before
		condition += fmt.Sprintf(" && k != %d", 1000+who*1000+turn)
	}
	conn := c.server.Dial(c.t)
	defer func() { _ = conn.Close() }()
	ask := func(text string) bool {
		_, err := conn.Write([]byte(text))
		return assert.NoError(c.t, err)
	}
	verb, resp := "SUB", who%2 == 0
	if l.topics[0] == '[' {
		verb = "PSUB"
	}
	name := l.topics + " WHERE " + condition
	subscribe, leave := fmt.Sprintf("SEQ ON\n%s %s\nSEQ\n", verb, name), fmt.Sprintf("SEQ\nUN%s %s\nSEQ\n", verb, name)
	if resp {
		subscribe = harness.RESP("HELLO", "3") + harness.RESP("SEQ", "ON") + harness.RESP("PSUBSCRIBE", name) + harness.RESP("SEQ")
		leave = harness.RESP("SEQ") + harness.RESP("PUNSUBSCRIBE", name) + harness.RESP("SEQ")
	}
	if !ask("CLIENT ID\n") {
		return nil
	}
	id := strings.TrimPrefix(conn.Line(), ":")
	if !ask(subscribe) || !l.read(c.t, conn, resp, &l.subscribed, 0) || !l.read(c.t, conn, resp, nil, 15) {
		return nil
	}
	switch (who + turn) % 3 {
	case 0:
		if !ask(leave) || !l.read(c.t, conn, resp, &l.gone, 0) {
			return nil
		}
	case 1:
		assert.NoError(c.t, conn.Conn.(*net.TCPConn).SetLinger(0))
	default:
		killer := c.server.Dial(c.t)
		killer.Command("CLIENT", "KILL", "ID", id)
		assert.Equal(c.t, ":1", killer.Line())
		_ = killer.Close()
		for l.note(c.t, conn, resp, nil) { // what it still gets is its part too
		}
	}
	return l
}

// read notes what comes until two numbers have been told, or so many messages have come.
func (l *life) read(t *testing.T, conn *harness.Conn, resp bool, told *[2]int, enough int) bool {
	for n := 0; told != nil && n < 2 || told == nil && len(l.got) < enough; {
		var number int
		if !l.note(t, conn, resp, &number) {
			t.Error("a subscriber is cut off")
			return false
		}
		if number >= 0 && told != nil {
			told[n] = number
			n++
		}
	}
	return true
}

var tells = regexp.MustCompile(`^\+?OK SEQ ON \w+ #(\d+)\r?\n$`)

// note takes one frame. A number that it tells goes into told, -1 if it is none; false is the end.
func (l *life) note(t *testing.T, conn *harness.Conn, resp bool, told *int) bool {
	frame, err := conn.Frame()
	if err != nil {
		return false
	}
	if told == nil {
		told = new(int)
	}
	*told = -1
	if number := tells.FindSubmatch(frame); number != nil {
		*told, _ = strconv.Atoi(string(number[1]))
		return true
	}
	at, payload := "", ""
	switch parts := strings.Split(string(frame), "\r\n"); {
	case !resp && strings.HasPrefix(parts[0], "UPDATE #"):
		words := strings.Fields(parts[0])
		at, payload = strings.TrimPrefix(words[1], "#"), words[3]
	case resp && len(parts) > 10 && parts[2] == "pmessage":
		at, payload = parts[9][1:], parts[8]
	default:
		return true // a confirmation, HELLO
	}
	number, err := strconv.Atoi(at) // with a `<` it would tell of a loss
	assert.NoError(t, err)
	l.got, l.payloads = append(l.got, number), append(l.payloads, payload)
	return true
}

// check holds each life against what was published while it lasted.
func (c *churn) check(lives [][]*life) {
	last := c.server.Info(c.t, "sequence")
	require.Len(c.t, c.sent, last, "each message has a number of its own, and none is left out")
	messages := 0
	for _, all := range lives {
		require.Len(c.t, all, *churnLives)
		for _, l := range all {
			messages += len(l.got)
			c.account(l, last)
		}
	}
	c.t.Logf("%d messages published, %d seen by %d lives", last, messages, len(lives)**churnLives)
}

func (c *churn) account(l *life, last int) {
	end := l.got[len(l.got)-1]
	if l.gone[1] > 0 {
		end = l.gone[1]
	}
	require.LessOrEqual(c.t, end, last)
	i := 0
	for n := l.subscribed[0] + 1; n <= end; n++ {
		s := c.sent[n]
		if !l.wants(s) {
			continue
		}
		if i < len(l.got) && l.got[i] == n {
			require.Equal(c.t, s.payload, l.payloads[i])
			i++
			continue
		}
		before, after := i == 0 && n <= l.subscribed[1], i == len(l.got) && n > l.gone[0]
		require.True(c.t, before || after, "%s WHERE %s: message %d is missing between %v and %v", l.topics, l.text, n, l.subscribed, l.gone)
	}
	require.Equal(c.t, len(l.got), i, "%s WHERE %s: message %v is not its own", l.topics, l.text, l.got[min(i, len(l.got)-1)])
}

// settle holds that nothing stays behind of those who have gone, and that each message told to a publisher has an end.
func (c *churn) settle(told bool) {
	t, s := c.t, c.server
	for _, key := range []string{"pubsub_predicates", "pubsub_channels", "pubsub_patterns", "pubsub_clients", "client_memory"} {
		harness.Eventually(t, func() bool { return s.Info(t, key) == 0 }, key+" stays behind")
	}
	harness.Eventually(t, func() bool { return s.Info(t, "connected_clients") == 1 }, "connections stay behind")
	matched := s.Info(t, "messages_matched")
	harness.Eventually(t, func() bool { // a connection that was evicted is none any more, and its writer may not know yet
		return matched == s.Info(t, "messages_delivered")+s.Info(t, "messages_dropped")+s.Info(t, "messages_undelivered")
	}, "the account does not balance")
	if told {
		assert.Equal(t, c.receivers, matched)
	}
	conn := s.Dial(t)
	conn.Send("TOPICS\nWHO a\n")
	conn.Expect("OK TOPICS 0\nOK WHO 0\n")
	conn.Command("PUBSUB", "NUMSUB", "a", "b")
	conn.Expect("*4\r\n$1\r\na\r\n:0\r\n$1\r\nb\r\n:0\r\n")
	const n = 1000 // nobody listens: messages are taken, and nothing is kept of them
	conn.Send("%s", pipelined("a", 1, n))
	conn.Expect(strings.Repeat(":0\r\n", n))
	harness.Eventually(t, func() bool { return s.Info(t, "client_memory") == 0 }, "something is kept") // answers leave it when written
	assert.Equal(t, matched, s.Info(t, "messages_matched"))
}

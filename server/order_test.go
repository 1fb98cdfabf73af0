package server_test

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

var (
	orderSeed  = flag.Uint64("order.seed", 0, "seed of the order test, to replay a run; 0 takes a new one")
	orderCount = flag.Int("order.messages", 2000, "messages each publisher of the order test sends in a round")
	orderFor   = flag.Duration("order.for", 0, "go on with new rounds of the order test for so long")
)

// TestOneOrder holds clauses 1 to 4 of the contract against a running server: publishers and subscribers in lines, RESP2
// and RESP3, random topics, sizes and batches. What all subscribers got must be explained by one sequence.
func TestOneOrder(t *testing.T) {
	seed := *orderSeed
	if seed == 0 {
		seed = testseed.New()
	}
	end := time.Now().Add(*orderFor)
	for round := 0; round == 0 || time.Now().Before(end); round++ {
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { oneOrder(t, seed) })
		if !ok {
			t.Fatalf("replay with: go test ./server -run TestOneOrder -order.seed=%d -order.messages=%d", seed, *orderCount)
		}
		seed++
	}
}

const (
	orderTopics     = 5
	orderPublishers = 6
	orderListeners  = 8
)

func oneOrder(t *testing.T, seed uint64) {
	s := harness.Start(t, server.Options{SlowHard: 1 << 30, SlowSoft: 1 << 30})
	// Two witnesses see everything, one in each dialect: what they saw is the order.
	witnesses := []*listener{newListener(t, s, seed, 0, "topic*"), newListener(t, s, seed, 1, "topic*")}
	listeners := witnesses
	for i := range orderListeners {
		listeners = append(listeners, newListener(t, s, seed, i, ""))
	}
	var wg sync.WaitGroup
	for _, l := range listeners {
		wg.Go(l.listen)
	}
	var publishing sync.WaitGroup
	for i := range orderPublishers {
		publishing.Go(func() { publish(t, s, seed, i) })
	}
	publishing.Wait()
	// Publishers have all their replies: everything is queued (clause 4). The end is one more message.
	last := s.Dial(t)
	for topic := range orderTopics {
		last.Command("PUBLISH", topicName(topic), "end")
		last.Line()
	}
	wg.Wait()
	if t.Failed() {
		return
	}

	order := make(map[string]int)
	for i, m := range witnesses[0].got {
		order[m] = i // a message that comes twice leaves the count short
	}
	require.Len(t, order, orderPublishers**orderCount)
	require.Equal(t, witnesses[0].got, witnesses[1].got, "the two witnesses disagree")
	next := make(map[string]int)
	for _, m := range witnesses[0].got { // clause 3: each publisher's messages in the order sent
		publisher, number, _ := strings.Cut(m, "-")
		require.Equal(t, strconv.Itoa(next[publisher]), number, "publisher %s", publisher)
		next[publisher]++
	}
	for _, l := range listeners[2:] {
		l.check(t, order, witnesses[0])
	}
}

func topicName(n int) string { return "topic" + strconv.Itoa(n) }

// listener is one subscriber. It keeps what it got as "publisher-number".
type listener struct {
	t     *testing.T
	c     *harness.Conn
	topic map[string]bool // what it subscribed to
	resp  bool
	got   []string
	from  []string // the topic of each
	ends  int      // end messages still to come
}

func newListener(t *testing.T, s *harness.Server, seed uint64, i int, glob string) *listener {
	rng := rand.New(rand.NewPCG(seed, uint64(i)))
	l := &listener{t: t, c: s.Dial(t), topic: make(map[string]bool), resp: i%2 == 0}
	if i%4 == 2 {
		l.c.Command("HELLO", "3")
		_, err := l.c.Frame()
		require.NoError(t, err)
	}
	for topic := range orderTopics {
		if glob != "" || rng.IntN(2) == 0 || topic == i%orderTopics {
			l.topic[topicName(topic)] = true
			l.ends++
		}
	}
	switch {
	case glob != "" && l.resp:
		l.c.Command("PSUBSCRIBE", glob)
	case glob != "":
		l.c.Send("PSUB %s\r\n", glob)
	default:
		for topic := range l.topic {
			if l.resp {
				l.c.Command("SUBSCRIBE", topic)
			} else {
				l.c.Send("SUB %s\r\n", topic)
			}
		}
	}
	confirmations := len(l.topic)
	if glob != "" {
		confirmations = 1
	}
	for range confirmations {
		_, err := l.c.Frame()
		require.NoError(t, err)
	}
	return l
}

func (l *listener) listen() {
	for l.ends > 0 {
		frame, err := l.c.Frame()
		if err != nil {
			l.t.Errorf("a listener's connection: %v", err)
			return
		}
		topic, payload := l.split(string(frame))
		if payload == "end" {
			l.ends--
			continue
		}
		id, ok := harness.Verify(payload)
		if !assert.True(l.t, ok, "a message is not what was published: %.80q", payload) {
			return
		}
		l.got, l.from = append(l.got, id), append(l.from, topic)
	}
}

func (l *listener) split(frame string) (topic, payload string) {
	if !l.resp {
		_, rest, _ := strings.Cut(strings.TrimSuffix(frame, "\r\n"), " ")
		topic, payload, _ = strings.Cut(rest, " ")
		return topic, payload
	}
	parts := strings.Split(frame, "\r\n")
	return parts[len(parts)-4], parts[len(parts)-2]
}

// check holds what a listener got against the order: in it, and all of it (clause 2).
func (l *listener) check(t *testing.T, order map[string]int, witness *listener) {
	var want []string
	for i, m := range witness.got {
		if l.topic[witness.from[i]] {
			want = append(want, m)
		}
	}
	require.Len(t, l.got, len(want))
	last := -1
	for i, m := range l.got {
		require.Greater(t, order[m], last, "message %d, %s, is out of the one order", i, m)
		last = order[m]
	}
	require.Equal(t, want, l.got)
}

// publish sends in batches of random length while it reads its replies. Every third publisher speaks lines, and
// subscribes to what it publishes: it must get each reply, then that message, then the next reply (clause 4).
func publish(t *testing.T, s *harness.Server, seed uint64, i int) {
	rng := rand.New(rand.NewPCG(seed, 1000+uint64(i)))
	c := s.Dial(t)
	own := "publisher" + strconv.Itoa(i) // not among what the witnesses see
	lines := i%3 == 0
	if lines {
		c.Send("SUB %s\n", own)
		c.Expect("OK SUB " + own + "\n")
	}
	replies := make(chan error, 1)
	var expected strings.Builder
	var sending []string
	for number := 0; number < *orderCount; {
		var batch strings.Builder
		for range min(1+rng.IntN(100), *orderCount-number) {
			size := rng.IntN(200)
			if rng.IntN(200) == 0 {
				size = rng.IntN(40_000)
			}
			m, topic := harness.Payload(i, number, size), topicName(rng.IntN(orderTopics))
			number++
			if !lines {
				batch.WriteString(harness.RESP("PUBLISH", topic, m))
				continue
			}
			fmt.Fprintf(&batch, "PUB %s %s\n", topic, m)
			fmt.Fprintf(&expected, "OK PUB %s\n", topic)
			if rng.IntN(10) == 0 {
				fmt.Fprintf(&batch, "PUB %s own%d\n", own, number)
				fmt.Fprintf(&expected, "OK PUB %s\nUPDATE %s own%d\n", own, own, number)
			}
		}
		sending = append(sending, batch.String())
	}
	go func() {
		for _, batch := range sending {
			if _, err := io.WriteString(c, batch); err != nil {
				replies <- err
				return
			}
		}
		replies <- nil
	}()
	if lines {
		c.Expect(expected.String())
	} else {
		for range *orderCount {
			if line := c.Line(); !assert.True(t, strings.HasPrefix(line, ":"), line) {
				break
			}
		}
	}
	assert.NoError(t, <-replies)
}

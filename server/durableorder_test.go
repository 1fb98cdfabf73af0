package server_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
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

// placed is a message with its place in the one order.
type placed struct {
	seq            uint64
	topic, payload string
}

// orderedSubscriber subscribes to a pattern and reads up to the message end.
type orderedSubscriber struct {
	c    *harness.Conn
	resp bool
	got  []placed
	err  error
}

// subscribeOrdered subscribes with sequence numbers, in lines or over RESP3.
func subscribeOrdered(t *testing.T, s *harness.Server, pattern string, resp bool) *orderedSubscriber {
	t.Helper()
	l := &orderedSubscriber{c: s.Dial(t), resp: resp}
	if resp {
		for _, command := range [][]string{{"HELLO", "3"}, {"CLIENT", "CAPA", "seq"}, {"PSUBSCRIBE", pattern}} {
			l.c.Command(command...)
			_, err := l.c.Frame()
			require.NoError(t, err)
		}
		return l
	}
	l.c.Send("SEQ ON\nPSUB %s\n", pattern)
	for range 2 {
		require.True(t, strings.HasPrefix(l.c.Line(), "OK "))
	}
	return l
}

// read reads messages up to one whose payload is end.
func (l *orderedSubscriber) read() {
	for len(l.got) == 0 || l.got[len(l.got)-1].payload != "end" {
		frame, err := l.c.Frame()
		if l.err = err; err != nil {
			return
		}
		m, seq := placed{}, ""
		if parts := strings.Split(string(frame), "\r\n"); l.resp && len(parts) == 12 {
			m.topic, m.payload, seq = parts[6], parts[8], strings.TrimPrefix(parts[9], ":")
		} else if words := strings.SplitN(strings.TrimSuffix(string(frame), "\n"), " ", 4); !l.resp && len(words) == 4 {
			m.topic, m.payload, seq = words[2], words[3], strings.TrimPrefix(words[1], "#")
		}
		if m.seq, l.err = strconv.ParseUint(seq, 10, 64); l.err != nil {
			l.err = fmt.Errorf("%q: %w", frame, l.err)
			return
		}
		l.got = append(l.got, m)
	}
}

// mixedMessage returns a command that publishes a message, or appends it to a durable topic. Beside that it may append to a stream with the
// name of a plain topic, which is no message.
func mixedMessage(rng *rand.Rand, payload string) (command string, replies int) {
	switch rng.IntN(5) {
	case 0, 1:
		return harness.RESP("PUBLISH", []string{"d1", "d2", "p1", "p2"}[rng.IntN(4)], payload), 1
	case 2:
		return harness.RESP("XADD", "p1", "*", "message", "an entry") + harness.RESP("PUBLISH", "p1", payload), 2
	}
	return harness.RESP("XADD", []string{"d1", "d2"}[rng.IntN(2)], "*", "message", payload, "region", "eu"), 1
}

// mixedBatches returns batches of commands, with the number of their replies: single messages, runs to one topic, and transactions.
func mixedBatches(rng *rand.Rand, writer, messages int) (batches []string, replies int) {
	for number := 0; number < messages; {
		var b strings.Builder
		kind, n := rng.IntN(3), min(1+rng.IntN(20), messages-number)
		topic := []string{"d1", "p1"}[rng.IntN(2)]
		if kind == 2 {
			b.WriteString(harness.RESP("MULTI"))
		}
		for i := range n {
			payload := fmt.Sprintf("%d-%d", writer, number+i)
			if kind == 2 {
				payload += fmt.Sprintf("-in-%d", number) // one instant with the others
			}
			command, count := harness.RESP("PUBLISH", topic, payload), 1
			if kind != 1 {
				command, count = mixedMessage(rng, payload)
			}
			b.WriteString(command)
			replies += count
		}
		if kind == 2 {
			b.WriteString(harness.RESP("EXEC"))
			replies += 2
		}
		number += n
		batches = append(batches, b.String())
	}
	return batches, replies
}

// Plain and durable publishes, runs, XADD and transactions to the same topics have one order: all subscribers see it, and a replay of what
// is durable is what was live.
func TestOneOrderOfMixedTopics(t *testing.T) {
	const writers, messages = 5, 400
	seed := *orderSeed
	if seed == 0 {
		seed = testseed.New()
	}
	t.Logf("-order.seed=%d", seed)
	s := harness.Start(t, server.Options{SlowHard: 1 << 30, SlowSoft: 1 << 30})
	admin := s.Dial(t)
	admin.Command("CONFIG", "SET", "durable", "d*")
	admin.Expect("+OK\r\n")
	live := []*orderedSubscriber{subscribeOrdered(t, s, "*", false), subscribeOrdered(t, s, "*", true)}
	var reading, writing sync.WaitGroup
	reading.Go(live[0].read)
	reading.Go(live[1].read)
	half := make(chan struct{})
	for w := range writers {
		rng := rand.New(rand.NewPCG(seed, uint64(w))) //nolint:gosec // an index
		c := s.Dial(t)
		batches, replies := mixedBatches(rng, w, messages)
		writing.Go(func() {
			for i, b := range batches {
				if _, err := io.WriteString(c, b); !assert.NoError(t, err) {
					return
				}
				if w == 0 && i == len(batches)/2 {
					close(half)
				}
			}
		})
		writing.Go(func() {
			for range replies {
				frame, err := c.Frame()
				if !assert.NoError(t, err) || !assert.NotEqual(t, byte('-'), frame[0], string(frame)) {
					return
				}
			}
		})
	}
	<-half
	late := []*orderedSubscriber{subscribeOrdered(t, s, "d* FROM 0", false), subscribeOrdered(t, s, "d* FROM 0", true)} // they join meanwhile
	for _, l := range late {
		reading.Go(l.read)
	}
	writing.Wait()
	admin.Command("PUBLISH", "d1", "end")
	admin.Line()
	reading.Wait()
	past := subscribeOrdered(t, s, "d* FROM 0", true)
	past.read()
	for _, l := range append(slices.Clone(late), append(live, past)...) {
		require.NoError(t, l.err)
	}

	order := live[0].got
	require.Equal(t, order, live[1].got, "two subscribers see different orders")
	checkMixedOrder(t, order, writers, messages)
	durable := slices.DeleteFunc(slices.Clone(order), func(m placed) bool { return m.topic[0] != 'd' })
	for _, l := range append(late, past) {
		require.Equal(t, durable, l.got, "a replay is not what was live")
	}
}

// checkMixedOrder holds that sequence numbers ascend, that each message is there once, those of a writer as they were sent, and that nothing
// is between those of a transaction but what it has appended itself.
func checkMixedOrder(t *testing.T, order []placed, writers, messages int) {
	t.Helper()
	require.Len(t, order, writers*messages+1)
	next := make([]int, writers)
	for i, m := range order[:len(order)-1] {
		require.Less(t, m.seq, order[i+1].seq)
		parts := strings.Split(m.payload, "-")
		writer, err := strconv.Atoi(parts[0])
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(next[writer]), parts[1], "writer %d", writer)
		next[writer]++
		if len(parts) == 4 && parts[1] != parts[3] { // the one before is of the same transaction
			before := strings.Split(order[i-1].payload, "-")
			require.Equal(t, []string{parts[0], "in", parts[3]}, []string{before[0], before[2], before[3]})
			require.LessOrEqual(t, m.seq, order[i-1].seq+2)
		}
	}
}

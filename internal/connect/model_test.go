package connect

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/testseed"
)

var seed = flag.Uint64("connect.seed", 1, "seed of the random failures; 0 takes one from the clock")

func startSeed(t *testing.T) uint64 {
	s := *seed
	if s == 0 {
		s = testseed.New()
	}
	t.Logf("-connect.seed=%d", s)
	return s
}

// one is a system with this source and this sink.
func one(source Source, sink Sink) []System {
	return []System{{
		Name: "fake", Schemes: []string{"fake"}, Meta: []string{"key"}, Headers: true,
		Source: func(a Address) (Source, error) { a.Take("queue"); return source, nil },
		Sink:   func(a Address) (Sink, error) { a.Take("subject"); return sink, nil },
	}}
}

func newTestSet(b Broker, systems []System) *Set {
	s := NewSet(b, &Compiler{Systems: systems, Limit: 1000}, zerolog.Nop())
	s.Start()
	return s
}

func sourceConfig(change func(*Config)) Config {
	c := NewConfig(command.Source)
	c.Name, c.URL, c.Topic, c.FromFile = "in", "fake://host?queue=q", "orders.{key}", true
	if change != nil {
		change(&c)
	}
	return c
}

func sinkConfig(change func(*Config)) Config {
	c := NewConfig(command.Sink)
	c.Name, c.URL, c.Topic, c.FromFile = "out", "fake://host?subject=s", "news.*", true
	if change != nil {
		change(&c)
	}
	return c
}

// stopAll stops the set; the goroutines must be at their end before the bubble is.
func stopAll(t *testing.T, s *Set) {
	t.Helper()
	require.NoError(t, s.StopSources(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, s.StopSinks(ctx))
}

// Failures come at any point of either side: opening, connecting, reading, publishing, acknowledging, closing, panics. In the end each
// message has taken effect in order, none was acknowledged before, and the account balances.
func TestASourceLosesNothingAndItsAccountBalances(t *testing.T) {
	first := startSeed(t)
	for round := range uint64(60) {
		for _, positions := range []bool{false, true} {
			name := fmt.Sprintf("%d, positions: %v", round, positions)
			synctest.Test(t, func(t *testing.T) { runSourceModel(t, name, rand.New(rand.NewPCG(first, round)), positions) })
		}
	}
}

func runSourceModel(t *testing.T, name string, r *rand.Rand, positions bool) {
	c := &chance{r: r, in: 4 + r.IntN(40)}
	broker := &fakeBroker{t: t, chance: c, durable: positions, positions: make(map[string]map[string]string)}
	source := &fakeSource{t: t, chance: c, positions: positions, messages: randomMessages(r)}
	source.effective = func(m *Message) bool { return isHeld(m) || broker.has(string(m.Payload)) }
	set := newTestSet(broker, one(source, nil))
	require.NoError(t, set.Apply([]Config{sourceConfig(func(c *Config) {
		c.Where, c.Dead, c.InFlight = `payload not startsWith "held"`, "dead", 1+r.IntN(20)
	})}))
	require.Eventually(t, func() bool { return set.List()[0].State == stateEnded }, 2*time.Hour, time.Second, name)

	row := set.List()[0]
	assert.Equal(t, row.Taken, row.Published+row.HeldBack+row.Dead, name)
	assert.Zero(t, row.Pending, name)
	if row.Restarts > 0 {
		assert.NotEmpty(t, row.LastError, name)
	}
	var wanted []string
	for i := range source.messages {
		if m := &source.messages[i]; !isHeld(m) {
			wanted = append(wanted, string(m.Payload))
		}
	}
	var got []string
	for _, m := range broker.published {
		got = append(got, string(m.Payload))
		assert.Equal(t, m.Meta["key"] == "", m.Topic == "dead", name)
	}
	if positions {
		assert.Equal(t, wanted, got, "each once, in order: %s", name)
	} else {
		assert.Equal(t, wanted, firsts(got), "each at least once, in order: %s", name)
	}
	stopAll(t, set)
}

// firsts leaves out what came before.
func firsts(all []string) (some []string) {
	for _, text := range all {
		if !slices.Contains(some, text) {
			some = append(some, text)
		}
	}
	return some
}

func isHeld(m *Message) bool { return strings.HasPrefix(string(m.Payload), "held") }

// randomMessages are messages of which some are held back, and some have no key for the template.
func randomMessages(r *rand.Rand) []Message {
	messages := make([]Message, 1+r.IntN(60))
	for i := range messages {
		m := Message{Payload: fmt.Appendf(nil, "m%d", i), Meta: map[string]string{"key": "k"}, Partition: "p", Position: fmt.Sprint(i)}
		switch r.IntN(6) {
		case 0:
			m.Payload = fmt.Appendf(nil, "held%d", i)
		case 1:
			m.Meta = nil
		}
		messages[i] = m
	}
	return messages
}

// The same for sinks: in the end the other side, or dead letters, have each message, nothing was done before, and the account balances.
func TestASinkLosesNothingAndItsAccountBalances(t *testing.T) {
	first := startSeed(t)
	for round := range uint64(120) {
		name := fmt.Sprint(round)
		synctest.Test(t, func(t *testing.T) { runSinkModel(t, name, rand.New(rand.NewPCG(first, round))) })
	}
}

func runSinkModel(t *testing.T, name string, r *rand.Rand) {
	c := &chance{r: r, in: 4 + r.IntN(40)}
	messages := make([]Message, 1+r.IntN(100))
	for i := range messages {
		messages[i] = Message{Topic: "news.a", Payload: fmt.Appendf(nil, "m%d", i), ID: fmt.Sprint(i)}
		if r.IntN(10) == 0 {
			messages[i].Payload[0] = '!'
		}
	}
	broker := &fakeBroker{t: t, chance: c, durable: true, positions: make(map[string]map[string]string)}
	sink := &fakeSink{chance: c, writes: make(map[string]int)}
	outlet := newFakeOutlet(t, slices.Clone(messages), true)
	outlet.failDone = c
	outlet.done = func(m *Message) bool { return sink.has(string(m.Payload)) || broker.has(string(m.Payload)) }
	broker.outlets = map[string]*fakeOutlet{"out": outlet}
	set := newTestSet(broker, one(nil, sink))
	require.NoError(t, set.Apply([]Config{sinkConfig(func(c *Config) { c.Dead, c.Batch, c.Tries = "dead", 1+r.IntN(20), 3 })}))
	require.Eventually(t, func() bool {
		row := set.List()[0]
		return row.Matched == uint64(len(messages)) && row.Pending == 0
	}, 2*time.Hour, time.Second, name)

	row := set.List()[0]
	assert.Equal(t, row.Matched, row.Sent+row.Dead+row.Lost+row.Pending, name)
	var good, poison, got, dead []string
	for _, m := range messages {
		if text := string(m.Payload); text[0] == '!' {
			poison = append(poison, text)
			assert.GreaterOrEqual(t, sink.writes[text], 3, name)
		} else {
			good = append(good, text)
		}
	}
	for _, m := range sink.written {
		got = append(got, string(m.Payload))
		assert.Equal(t, []Header{{via, "b1"}}, m.Headers)
	}
	for _, m := range broker.published {
		dead = append(dead, string(m.Payload))
		reason, _ := m.Header("conch-dead-reason")
		assert.Equal(t, "poison", reason)
	}
	assert.Equal(t, good, firsts(got), name)
	assert.Equal(t, poison, firsts(dead), name)
	stopAll(t, set)
}

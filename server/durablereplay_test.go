package server_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

// durableModel is what durable topics d0 to d4 have, and a subscriber of all of them that gives each message its number.
type durableModel struct {
	t       *testing.T
	r       *rand.Rand
	server  *harness.Server
	writer  *harness.Conn
	witness *harness.Conn
	entries []*durableEntry
	epochs  []string
	ends    []int // the last number of each earlier epoch
}

type durableEntry struct {
	seq                int
	topic, id, payload string
	deleted, givenUp   bool
}

const durableTopics = 5

func (m *durableModel) start(dir string) (stop func()) {
	m.t.Helper()
	m.server, stop = startDurable(m.t, dir, server.Options{})
	m.writer, m.witness = m.server.Dial(m.t), m.server.Dial(m.t)
	m.witness.Send("SEQ ON\nPSUB *\n")
	m.epochs = append(m.epochs, strings.Fields(m.witness.Line())[3])
	m.witness.Line()
	return stop
}

// write publishes, appends, deletes and trims.
func (m *durableModel) write(commands int) {
	for range commands {
		topic := fmt.Sprint("d", m.r.IntN(durableTopics))
		payload := fmt.Sprintf("%s-%d", strings.Repeat("x", m.r.IntN(m.r.IntN(300)+1)), len(m.entries))
		switch m.r.IntN(30) {
		case 0:
			keep := m.r.IntN(40)
			m.writer.Command("XTRIM", topic, "MAXLEN", strconv.Itoa(keep))
			m.writer.Line()
			live := m.live(topic)
			for _, e := range live[:max(0, len(live)-keep)] {
				e.givenUp = true
			}
		case 1, 2:
			live := m.live(topic)
			if len(live) == 0 {
				continue
			}
			e := live[m.r.IntN(len(live))]
			m.writer.Command("XDEL", topic, e.id)
			m.writer.Line()
			e.deleted = true
		case 3, 4, 5, 6:
			m.writer.Command("XADD", topic, "*", "message", payload)
			m.writer.Line()
			m.writer.Line()
			m.published(topic, payload)
		default:
			m.writer.Command("PUBLISH", topic, payload)
			m.writer.Line()
			m.published(topic, payload)
		}
	}
}

// published takes the number of a message from the witness, and its id from the stream.
func (m *durableModel) published(topic, payload string) {
	words := strings.SplitN(m.witness.Line(), " ", 4)
	require.Equal(m.t, []string{topic, payload}, words[2:])
	seq, err := strconv.Atoi(words[1][1:])
	require.NoError(m.t, err)
	m.writer.Command("XREVRANGE", topic, "+", "-", "COUNT", "1")
	for range 3 {
		m.writer.Line()
	}
	id := m.writer.Line()
	for range 5 {
		m.writer.Line()
	}
	m.entries = append(m.entries, &durableEntry{seq: seq, topic: topic, id: id, payload: payload})
}

func (m *durableModel) live(topic string) (live []*durableEntry) {
	for _, e := range m.entries {
		if e.topic == topic && !e.deleted && !e.givenUp {
			live = append(live, e)
		}
	}
	return live
}

// whole reports whether no limit has taken anything.
func (m *durableModel) whole() bool {
	return !slices.ContainsFunc(m.entries, func(e *durableEntry) bool { return e.givenUp })
}

// subscribe begins somewhere, and compares what comes.
func (m *durableModel) subscribe() {
	m.t.Helper()
	verb, name := "SUB", fmt.Sprint("d", m.r.IntN(durableTopics))
	wanted := func(e *durableEntry) bool { return e.topic == name }
	if m.r.IntN(3) == 0 {
		verb, name = "PSUB", "d*"
		wanted = func(*durableEntry) bool { return true }
	}
	smallest := 0
	where := ""
	if m.r.IntN(3) == 0 {
		smallest = m.r.IntN(100)
		where = fmt.Sprintf(" WHERE size >= %d", smallest)
	}
	var live []*durableEntry // that are wanted
	for _, e := range m.entries {
		if wanted(e) && !e.deleted && !e.givenUp {
			live = append(live, e)
		}
	}
	matching := slices.DeleteFunc(slices.Clone(live), func(e *durableEntry) bool { return len(e.payload) < smallest })
	lost, most, atLeast := 0, 0, 1 // most: what is deleted first and given up then may count as lost
	var want []*durableEntry
	var form string
	last := m.entries[len(m.entries)-1].seq
	switch m.r.IntN(6) {
	case 0:
		form, want = "FROM 0", matching
	case 1:
		n := 1 + m.r.IntN(30)
		form, want = fmt.Sprint("LAST ", n), matching[max(0, len(matching)-n):]
	case 2:
		if len(live) == 0 || verb == "PSUB" {
			return
		}
		first := live[m.r.IntN(len(live))]
		form, atLeast = "FROM "+first.id, first.seq
	case 3:
		if verb == "SUB" {
			return
		}
		form = "LAST 1 EACH"
		for i, e := range live {
			if !slices.ContainsFunc(live[i+1:], func(later *durableEntry) bool { return later.topic == e.topic }) && len(e.payload) >= smallest {
				want = append(want, e)
			}
		}
	default:
		atLeast = 1 + m.r.IntN(last+1)
		i := m.r.IntN(len(m.epochs))
		form = fmt.Sprintf("FROM %s-%d", m.epochs[i], atLeast)
		if i+1 < len(m.epochs) { // behind its last one is the first of the next epoch
			atLeast = min(atLeast, m.ends[i]+1)
		}
	}
	if want == nil && !strings.HasPrefix(form, "LAST") {
		for _, e := range matching {
			if e.seq >= atLeast {
				want = append(want, e)
			}
		}
		for _, e := range m.entries {
			if wanted(e) && e.seq >= atLeast && form != "FROM 0" {
				if most++; e.givenUp {
					lost++
				} else if !e.deleted {
					most--
				}
			}
		}
	}
	m.compare(fmt.Sprintf("%s %s %s%s", verb, name, form, where), want, lost, most, where != "")
}

// compare subscribes, and compares the messages that come, and how many are reported as missing.
func (m *durableModel) compare(command string, want []*durableEntry, lost, most int, unknown bool) {
	m.t.Helper()
	c := m.server.Dial(m.t)
	defer func() { _ = c.Close() }()
	c.Send("SEQ ON\n%s\n", command)
	c.Line()
	require.True(m.t, strings.HasPrefix(c.Line(), "OK "), command)
	missed, isUnknown := 0, false
	next := func() []string {
		for {
			words := strings.SplitN(c.Line(), " ", 4)
			if words[0] != "MISSED" {
				return words
			}
			n, err := strconv.Atoi(words[1])
			missed, isUnknown = missed+n, isUnknown || err != nil
		}
	}
	for i, e := range want {
		require.Equal(m.t, []string{"UPDATE", fmt.Sprint("#", e.seq), e.topic, e.payload}, next(), "%s, message %d of %d", command, i, len(want))
	}
	topic := "d0"
	if words := strings.Fields(command); words[0] == "SUB" {
		topic = words[1]
	}
	payload := strings.Repeat("e", 300) + command // it is live, or the last of the replay
	m.writer.Command("PUBLISH", topic, payload)
	m.writer.Line()
	m.published(topic, payload)
	require.Equal(m.t, []string{topic, payload}, next()[2:], command)
	switch {
	case most == 0: // unknown: the log does not have any more what was given up before, and when that was published
		require.Zero(m.t, missed, command)
		require.False(m.t, isUnknown && m.whole(), command)
	case unknown && lost > 0:
		require.True(m.t, isUnknown, command)
	case !isUnknown:
		require.True(m.t, lost <= missed && missed <= most, "%s: %d to %d are missing, %d are reported", command, lost, most, missed)
	}
}

// Clause 8 on durable topics: whatever was published, appended, deleted and trimmed, a subscription that begins anywhere gets what is kept
// from there on, and what a limit took is reported. That holds over starts.
func TestDurableTopicsAgainstAModel(t *testing.T) {
	seed := *orderSeed
	if seed == 0 {
		seed = testseed.New()
	}
	t.Logf("replay with -order.seed=%d", seed)
	m := &durableModel{t: t, r: rand.New(rand.NewPCG(seed, 1))}
	dir := t.TempDir()
	for round := range 6 {
		stop := m.start(dir)
		if round == 0 {
			m.writer.Command("CONFIG", "SET", "durable", "d*")
			require.Equal(t, "+OK", m.writer.Line())
		}
		for range 10 {
			m.write(50)
			for range 4 {
				m.subscribe()
			}
		}
		m.ends = append(m.ends, m.entries[len(m.entries)-1].seq)
		stop()
	}
}

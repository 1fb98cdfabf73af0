package command

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
)

// replayed subscribes, and returns the numbers of the entries that come in front of the reply to a PING behind the join.
func (p *pipe) replayed(s *Service, subscribe string) (entries []string) {
	p.t.Helper()
	p.sends(subscribe + "\n")
	if line := p.line(); !strings.HasPrefix(line, "OK ") {
		return []string{line}
	}
	take := func() {
		for line := p.line(); line != "+PONG"; line = p.line() {
			_, rest, found := strings.Cut(line, `"n":`)
			if n, _, _ := strings.Cut(rest, ","); found {
				entries = append(entries, n)
			} else if strings.HasPrefix(line, "MISSED") {
				entries = append(entries, line)
			}
		}
	}
	for joined := false; !joined; {
		p.sends("PING\n")
		take()
		s.runOnCore(func(broker.View) { joined = !p.executor.isReplaying() })
	}
	p.sends("PING\n")
	take()
	p.sends("UNSUB\nPUNSUB\nPING\n")
	take()
	return entries
}

// Entries of durable topics are the past of a subscription, in each form of a position. Those of other streams are not.
func TestReplayOfEntries(t *testing.T) {
	store := newTestStore()
	store.earlier = "abcdef0123456789"
	s, pipes := newReadable(t, store, 2)
	p := pipes[0]
	p.sends("CONFIG SET durable \"s[0-8] s1?\"\n")
	require.Equal(t, "+OK", p.line())
	p.addMany(500, 50, "x")
	var plain []string // of s20 and the following ones, and s9
	all := numbers(1, 500)
	isDurable := func(n int) bool { return n%50 < 20 && n%50 != 9 }
	var durable []string
	for i, n := range all {
		if isDurable(i + 1) {
			durable = append(durable, n)
		} else {
			plain = append(plain, n)
		}
	}
	for _, test := range []struct {
		subscribe string
		want      []string
	}{
		{"SUB s1 FROM 0", []string{"1", "51", "101", "151", "201", "251", "301", "351", "401", "451"}},
		{"SUB s1 FROM #352", []string{"401", "451"}},
		{"SUB s1 FROM " + readEpoch + "-401", []string{"401", "451"}},
		{"SUB s1 FROM abcdef0123456789-402", []string{"451"}},
		{"SUB s1 FROM fbcdef0123456789-402", []string{"MISSED ? s1", "1", "51", "101", "151", "201", "251", "301", "351", "401", "451"}},
		{"SUB s1 FROM 400-0", []string{"401", "451"}},
		{"SUB s1 FROM 451-1", []string{"451"}},
		{"SUB s1 FROM 451-2", nil},
		{"SUB s1 FROM #501", nil},
		{"SUB s1 FROM #502", []string{"MISSED ? s1"}},
		{"SUB s1 FROM 1970-01-01T00:00:00Z", []string{"1", "51", "101", "151", "201", "251", "301", "351", "401", "451"}},
		{"SUB s1 FROM 2099-01-01T00:00:00Z", nil},
		{"SUB s1 FROM -5m", []string{"1", "51", "101", "151", "201", "251", "301", "351", "401", "451"}},
		{"SUB s1 s2 FROM #352", []string{"352", "401", "402", "451", "452"}},
		{"SUB s1 LAST 2", []string{"401", "451"}},
		{"SUB s1 s2 LAST 2", []string{"401", "402", "451", "452"}},
		{"SUB s1 LAST 1000", []string{"1", "51", "101", "151", "201", "251", "301", "351", "401", "451"}},
		{"SUB s1 LAST 2 WHERE n < 300", []string{"201", "251"}},
		{"PSUB s[129] FROM #352", []string{"MISSED ? s[129]", "352", "401", "402", "451", "452"}},
		{"PSUB s[129] LAST 3", []string{"402", "451", "452"}},
		{"PSUB s* FROM 0", durable},
		{"PSUB s* LAST 500", durable},
		{"PSUB * LAST 3", durable[len(durable)-3:]},
		{"PSUB * FROM #400 WHERE n % 50 == 0", []string{"MISSED ? * WHERE n % 50 == 0", "400", "450", "500"}},
		{"PSUB * LAST 1 EACH WHERE n > 467", []string{"468", "469", "500"}},
		{"PSUB s[129] LAST 1 EACH", []string{"451", "452"}},
		{"SUB s1 LAST 1 EACH", []string{"451"}},
		{"PSUB s* LAST 1 EACH", durable[len(durable)-19:]},
		{"SUB s20 FROM 0", []string{"ERR no messages are kept here for FROM 0; start conch with --recent 64MiB"}},
		{"SUB s20 LAST 1 EACH", []string{"ERR EACH is for durable topics (--durable), and s20 is none; type: LAST 1"}},
		{"PSUB s* FROM 400-0", []string{"ERR 400-0 is an entry of one stream, so it needs the name of one durable topic (--durable); type: FROM EPOCH-123"}},
	} {
		assert.Equal(t, test.want, pipes[1].replayed(s, test.subscribe), test.subscribe)
	}
	assert.NotEmpty(t, plain)
	eventually(t, func() bool { return store.pins.Load() == 0 }, "all pins are released")
	eventually(t, func() bool { return pipes[1].streamClient.Load().usage.fills.Load() == 0 }, "no memory is charged")
}

// What a limit has given up is reported in its place. What was deleted is no loss.
func TestReplayReportsWhatWasGivenUp(t *testing.T) {
	store := newTestStore()
	s, pipes := newReadable(t, store, 2)
	p := pipes[0]
	p.sends("CONFIG SET durable s*\n")
	require.Equal(t, "+OK", p.line())
	p.addMany(100, 2, "x") // s0 has the even numbers
	for _, command := range []string{"XTRIM s0 MAXLEN 10", "XDEL s0 82-1 90-1", "XTRIM s1 MAXLEN 0"} {
		p.resp("%s", command)
	}
	kept := []string{"84", "86", "88", "92", "94", "96", "98", "100"}
	for _, test := range []struct {
		subscribe string
		want      []string
	}{
		{"SUB s0 FROM 0", kept},
		{"SUB s0 FROM #1", append([]string{"MISSED 40 s0"}, kept...)},
		{"SUB s0 FROM #61", append([]string{"MISSED 10 s0"}, kept...)},
		{"SUB s0 FROM #80", append([]string{"MISSED 1 s0"}, kept...)},
		{"SUB s0 FROM #81", kept},
		{"SUB s0 FROM #87", kept[2:]},
		{"SUB s0 FROM #61 WHERE n > 90", append([]string{"MISSED ? s0 WHERE n > 90"}, kept[3:]...)},
		{"SUB s0 LAST 3", kept[5:]},
		{"SUB s0 LAST 1 EACH", kept[7:]},
		{"SUB s1 FROM #50", []string{"MISSED 25 s1"}},
		{"SUB s1 FROM 0", nil},
		{"SUB s1 LAST 5", nil},
		{"PSUB s* FROM #91", append([]string{"MISSED 5 s*"}, kept[3:]...)},
	} {
		assert.Equal(t, test.want, pipes[1].replayed(s, test.subscribe), test.subscribe)
	}
	eventually(t, func() bool { return store.pins.Load() == 0 }, "all pins are released")
}

// newBacklog makes a service with entries 1 to backlog of the durable topic s0, far more than an outbox takes, and a subscriber.
func newBacklog(t *testing.T) (*testStore, *pipe) {
	store := newTestStore()
	_, pipes := newReadable(t, store, 2)
	pipes[0].sends("CONFIG SET durable s*\n")
	require.Equal(t, "+OK", pipes[0].line())
	pipes[0].addMany(backlog, 1, strings.Repeat("x", 1000))
	eventually(t, func() bool { return store.pins.Load() == 0 }, "nothing is read yet")
	return store, pipes[1]
}

const backlog = 2000

// entry is the number of the next entry of newBacklog; 0 for another line.
func (p *pipe) entry() (n int, line string) {
	line = p.line()
	_, rest, _ := strings.Cut(line, `{"n":`)
	n, _ = strconv.Atoi(strings.TrimRight(rest[:max(0, strings.Index(rest, ","))], ","))
	return n, line
}

// A client that does not read holds no file of the log. All comes when it reads on.
func TestAStalledReplayGivesTheLogUp(t *testing.T) {
	store, sub := newBacklog(t)
	sub.sends("SUB s0 FROM 0\n")
	require.Equal(t, "OK SUB s0", sub.line())
	next := 1
	for _, upTo := range []int{1, 700, backlog} {
		eventually(t, func() bool { return sub.outbox.ReplayBytes() > maxAhead/2 && store.pins.Load() == 0 }, "what it cannot send is given up")
		for ; next <= upTo; next++ {
			n, line := sub.entry()
			require.Equal(t, next, n, "%.60s", line)
		}
		if next > backlog/2 {
			break // the rest fits
		}
	}
	for ; next <= backlog; next++ {
		n, line := sub.entry()
		require.Equal(t, next, n, "%.60s", line)
	}
	eventually(t, func() bool { return store.pins.Load() == 0 }, "all pins are released")
}

// UNSUB in the middle of a replay ends it: its confirmation is the last of the topic, and the log is given up.
func TestUnsubInTheMiddleOfAReplay(t *testing.T) {
	for _, upTo := range []int{0, 1, 300, 1500} {
		store, sub := newBacklog(t)
		sub.sends("SUB s0 FROM 0\n")
		require.Equal(t, "OK SUB s0", sub.line())
		next := 1
		for ; next <= upTo; next++ {
			n, line := sub.entry()
			require.Equal(t, next, n, "%.60s", line)
		}
		sub.sends("UNSUB s0\nPING\n")
		for held := 1; held > 0; { // until then the subscriber reads nothing, so the replay waits
			sub.service.runOnCore(func(broker.View) { held = sub.sub.NumSubscriptions() })
		}
		for {
			n, line := sub.entry()
			if n == 0 {
				require.Equal(t, "OK UNSUB s0", line)
				break
			}
			require.Equal(t, next, n, "%.60s", line)
			next++
		}
		assert.Equal(t, "+PONG", sub.line())
		assert.Less(t, next, backlog)
		eventually(t, func() bool { return store.pins.Load() == 0 }, "the log is given up")
		eventually(t, func() bool { return sub.streamClient.Load().usage.fills.Load() == 0 }, "no memory is charged")
		sub.sends("SUB s0 FROM #1999\n")
		for _, want := range []string{"OK SUB s0", `UPDATE s0 {"n":1999,`, `UPDATE s0 {"n":2000,`} {
			line := sub.line()
			assert.True(t, strings.HasPrefix(line, want), "%.60q, want %q", line, want)
		}
	}
}

// LAST 1 EACH over very many topics gives each of them once, in the order of their last messages, and then what comes.
func TestLastOfEachOfManyTopics(t *testing.T) {
	const topics, entries = 1200, 3000
	store := newTestStore()
	s, pipes := newReadable(t, store, 2)
	pipes[0].sends("CONFIG SET durable s*\n")
	require.Equal(t, "+OK", pipes[0].line())
	pipes[0].addMany(entries, topics, "x")
	assert.Equal(t, numbers(entries-topics+1, entries), pipes[1].replayed(s, "PSUB s* LAST 1 EACH"))
	var even []string
	for n := entries - topics + 2; n <= entries; n += 2 {
		even = append(even, strconv.Itoa(n))
	}
	assert.Equal(t, even, pipes[1].replayed(s, "PSUB s* LAST 1 EACH WHERE n % 2 == 0"))
	pipes[1].sends("PSUB s* LAST 1 EACH\n")
	require.Equal(t, "OK PSUB s*", pipes[1].line())
	pipes[0].resp("XADD s7 99999-1 n 99999 v x")
	seen := 0
	for n, line := pipes[1].entry(); n != 99999; n, line = pipes[1].entry() {
		require.NotZero(t, n, "%.60s", line)
		seen++
	}
	assert.Equal(t, topics, seen)
}

package cli

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// One table has the rates of the time that it took, and what the server has counted.
func TestTopOnce(t *testing.T) {
	p := start(t)
	a := harness.Use(t, p.Dial())
	a.Send("SUB news\n")
	a.Expect("OK SUB news\n")
	a.Send("PUB news hi\n")
	a.Expect("OK PUB news\nUPDATE news hi\n")
	a.Fence() // the delivery is counted

	status, out, log := do(p.Address, "top", "--once", "--every=100ms")
	require.Equal(t, statusOK, status, log)
	assert.Contains(t, out, "a second: published 0  delivered 0")
	assert.Regexp(t, `(?m)^news +0 +1 +1 +0 +0 +0 +1  topic$`, out)
	assert.NotContains(t, out, "\x1b")

	harness.Eventually(t, func() bool {
		a.Send("INFO clients\r\n")
		info, err := a.Frame()
		return err == nil && strings.Contains(string(info), "\nconnected_clients:1\r")
	}, "the server knows of the end of the first one")
	status, out, log = do(p.Address, "top", "--once", "--every=100ms", "--json")
	require.Equal(t, statusOK, status, log)
	var s sample
	require.NoError(t, json.Unmarshal([]byte(out), &s))
	assert.Equal(t, []topTopic{{Name: "news", Kind: "topic", Subscribers: 1, Published: 1, Delivered: 1}}, s.Topics)
	assert.Len(t, s.Slowest, 2)
	assert.EqualValues(t, 1, s.Sequence)
	assert.NotNil(t, s.Rates)
	assert.Empty(t, s.Denied)
}

// What the user may not read is left out and named. Without any right there is nothing to show.
func TestTopWithoutRights(t *testing.T) {
	p := start(t, "--requirepass=open sesame")
	admin := harness.Use(t, p.Dial())
	admin.Send("AUTH default 'open sesame'\r\nACL SETUSER some on >a +info\r\nACL SETUSER none on >a +ping\r\n")
	admin.Expect("+OK\r\n+OK\r\n+OK\r\n")
	status, out, log := do("conch://some:a@"+p.Address, "top", "--once", "--every=100ms")
	require.Equal(t, statusOK, status, log)
	assert.Contains(t, out, "not shown: PUBSUB STATS: NOPERM")
	assert.Contains(t, out, "not shown: CLIENT LIST: NOPERM")
	status, out, log = do("conch://none:a@"+p.Address, "top", "--once", "--every=100ms")
	assert.Equal(t, statusFailure, status)
	assert.Empty(t, out)
	assert.Contains(t, log, "conch: top: NOPERM")
}

// A server that is gone is waited for, a signal ends it.
func TestTopOverARestart(t *testing.T) {
	p := start(t)
	r := begin(t, p.Address, "top", "--every=100ms", "--json")
	r.out.await(t, `"rates":`)
	p.Signals <- os.Interrupt
	p.wait()
	r.out.await(t, `{"error":"top: no server listens on `)
	r.signals <- os.Interrupt
	r.ends(130)

	status, _, log := do("127.0.0.1:1", "top")
	assert.Equal(t, statusFailure, status)
	assert.Equal(t, "conch: top: no server listens on 127.0.0.1:1; start one, or give its address with --url\n", log)
}

// Rates are per second since the sample before. Those of another start of the server do not count.
func TestRatesOfSamples(t *testing.T) {
	at := time.Unix(100, 0)
	before := &sample{Time: at, runID: "a", total: rates{Published: 10, Delivered: 100}, Topics: []topTopic{{Name: "a", Published: 10}, {Name: "b", Published: 1}}}
	now := &sample{
		Time: at.Add(2 * time.Second), runID: "a", total: rates{Published: 30, Delivered: 50},
		Topics: []topTopic{{Name: "a", Published: 12}, {Name: "b", Published: 21}}, Slowest: []topConnection{{ID: 1}, {ID: 2, Backlog: 5}},
	}
	now.compare(before)
	assert.Equal(t, &rates{Published: 10}, now.Rates)
	assert.Equal(t, []topTopic{{Name: "b", Published: 21, Rate: 10}, {Name: "a", Published: 12, Rate: 1}}, now.Topics)
	assert.EqualValues(t, 2, now.Slowest[0].ID)
	assert.Len(t, now.shortened(1).Topics, 1)
	other := &sample{Time: at.Add(4 * time.Second), runID: "b", total: rates{Published: 1}}
	other.compare(now)
	assert.Nil(t, other.Rates)
}

// Connectors have a table of their own: those that do not run come first. Without any there is none.
func TestConnectorsInTop(t *testing.T) {
	at := time.Unix(100, 0)
	info := func(taken, sent string) *sample {
		return &sample{Time: at, runID: "a", Connectors: connectorsOf([]string{
			"# Connectors", "connectors:3", "source_in_1:system=nats,state=running,restarts=1,taken=" + taken + ",published=9,pending=2,retried=3,dead=4",
			"sink_out:system=redis,state=running,restarts=0,matched=7,sent=" + sent + ",pending=5,lag=6,retried=0,dead=0",
			"sink_away:system=redis,state=waiting,sent=0", "source_code:none", "role:master",
		})}
	}
	before := info("10", "10")
	at = at.Add(2 * time.Second)
	now := info("20", "50")
	now.compare(before)
	assert.Equal(t, []topConnector{
		{Name: "away", Direction: "sink", System: "redis", State: "waiting"},
		{Name: "out", Direction: "sink", System: "redis", State: "running", Messages: 50, Rate: 20, Pending: 5, Lag: 6},
		{Name: "in_1", Direction: "source", System: "nats", State: "running", Messages: 20, Rate: 5, Pending: 2, Retried: 3, Dead: 4},
	}, now.Connectors)
	text := now.table(0, 0)
	assert.Regexp(t, `(?m)^connector +a second +messages +pending +lag +retried +dead  direction  system  state$`, text)
	assert.Regexp(t, `(?m)^in_1 +5 +20 +2 +0 +3 +4  source     nats    running$`, text)
	assert.Len(t, now.shortened(1).Connectors, 1)
	assert.LessOrEqual(t, strings.Count(now.table(80, 14), "\n"), 14)
	now.Connectors = nil
	assert.NotContains(t, now.table(0, 0), "connector ")
}

// A terminal gets each table over the one before, within its lines and columns, and nothing that a client has chosen drives it.
func TestTopOnATerminal(t *testing.T) {
	var out strings.Builder
	view := &terminalTop{out: &out, size: func() (width, height int) { return 40, 12 }}
	s := &sample{Version: "1.0"}
	for range 50 {
		s.Topics = append(s.Topics, topTopic{Name: "evil \x1b[31m\x00 name of some length", Kind: "topic"})
		s.Slowest = append(s.Slowest, topConnection{Address: "127.0.0.1:1", Name: "\x9b"})
	}
	require.NoError(t, view.show(s))
	first := out.String()
	assert.True(t, strings.HasPrefix(first, ansiClear+ansiHome))
	assert.LessOrEqual(t, strings.Count(first, "\n"), 11)
	plain := strings.NewReplacer(ansiClear, "", ansiHome, "", ansiEndOfLine, "", ansiBelow, "").Replace(first)
	assert.NotContains(t, plain, "\x1b")
	assert.NotContains(t, plain, "\x00")
	for line := range strings.Lines(plain) {
		assert.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 40)
	}
	assert.Contains(t, plain, `evil\x20\x1b[31m\x00\x2…`)
	assert.Contains(t, plain, "127.0.0.1:1")

	out.Reset()
	require.NoError(t, view.fail(errors.New("no server")))
	assert.True(t, strings.HasPrefix(out.String(), ansiHome+"no server"+ansiEndOfLine))
	view.size = func() (width, height int) { return 1, 1 }
	require.NoError(t, view.show(s))
}

func TestShortNumbers(t *testing.T) {
	for want, n := range map[string]float64{"0": 0, "0.5": 0.5, "9999": 9999, "10.0k": 10_000, "1.00M": 1e6, "2.50G": 2.5e9} {
		assert.Equal(t, want, short(n))
	}
	for want, n := range map[string]int64{"0 B": 0, "10 KiB": 10 << 10, "1.0 MiB": 1 << 20, "3.00 GiB": 3 << 30} {
		assert.Equal(t, want, shortBytes(n))
	}
}

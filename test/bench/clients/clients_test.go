package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
	"github.com/conchmq/conch/test/bench/servers"
)

var update = flag.Bool("update", false, "rewrite the golden file")

func TestArguments(t *testing.T) {
	tests := []struct{ sentence, args, wrong string }{
		{"nothing is all of it", "", ""},
		{"a quick pass", "--rounds 1 --duration 100ms --only 64B,single --servers conch", ""},
		{"no rounds", "--rounds 0", "--rounds is at least 1"},
		{"no time", "--duration 1ms", "--duration is at least 100ms"},
		{"a server that speaks something else", "--servers conch,nats", "--servers has no nats"},
		{"a document of a part", "--doc x.md --only 64B", "--doc needs all scenarios"},
		{"a stray word", "everything", `"everything" is no flag`},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			_, err := parse(strings.Fields(test.args), io.Discard)
			if test.wrong == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.wrong)
		})
	}
	_, err := chosen("64B,5B")
	assert.ErrorContains(t, err, `there is no scenario "5B"`)
	some, err := chosen("single,64B")
	require.NoError(t, err)
	assert.Equal(t, []string{"single", "64B"}, []string{some[0].name, some[1].name})
}

func TestEachScenarioIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios {
		assert.False(t, seen[s.name], "the name is taken")
		seen[s.name] = true
		ways := map[string]bool{}
		for _, w := range s.ways {
			assert.False(t, ways[w.name], "the name is taken")
			ways[w.name] = true
			if w.only != 0 {
				assert.Contains(t, s.connections, w.only)
			}
			if w.stream {
				for _, n := range s.connections {
					assert.Zero(t, goroutines*s.depth%n, "the window is shared evenly")
				}
			}
		}
	}
}

func TestWhoIsComparedComesTogetherAndInTurn(t *testing.T) {
	c := &contest{rounds: 2, servers: []string{"conch", "redis"}}
	s := &scenario{connections: []int{1, 2}, ways: []way{{name: "a"}, {name: "b", only: 1}}}
	names := func(round int) (all []string) {
		for _, e := range c.order(s, round) {
			all = append(all, e.Server+" "+e.Way+string(rune('0'+e.Connections)))
		}
		return all
	}
	assert.Equal(t, []string{"conch a1", "conch b1", "redis a1", "redis b1", "conch a2", "redis a2"}, names(1))
	assert.Equal(t, []string{"redis a1", "redis b1", "conch a1", "conch b1", "redis a2", "conch a2"}, names(2))
}

func TestServersCount(t *testing.T) {
	tests := []struct {
		sentence, text string
		want           int64
		wrong          string
	}{
		{"conch counts messages", "# Stats\r\nmessages_published:42\r\nmessages_matched:0\r\n", 42, ""},
		{"Redis counts commands", "cmdstat_ping:calls=1\r\ncmdstat_publish:calls=17,usec=3,usec_per_call=0.1\r\n", 17, ""},
		{"the last line may be cut", "messages_published:7", 7, ""},
		{"nothing was published", "cmdstat_ping:calls=1\r\n", 0, "INFO has no cmdstat_publish:calls="},
		{"a number is none", "messages_published:many\r\n", 0, "INFO has no cmdstat_publish"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			got, err := published(test.text)
			if test.wrong != "" {
				assert.ErrorContains(t, err, test.wrong)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestCostIsThatOfOneMessage(t *testing.T) {
	start := time.Unix(1, 0)
	before := meter{at: start, cpu: time.Second, allocations: 100, bytes: 1000}
	after := meter{at: start.Add(2 * time.Second), cpu: 3 * time.Second, allocations: 300, bytes: 5000}
	assert.Equal(t, sample{rate: 500, cpu: 2000, allocations: 0.2, volume: 4}, before.cost(after, 1000))
	assert.Zero(t, before.cost(after, 0)[rate], "and of none there is none")
}

// counter is a library that only counts.
type counter struct {
	calls   [goroutines]int64
	flushes int
	fails   error // of the last goroutine
}

func (c *counter) sender(goroutine int) sender {
	return func() error {
		c.calls[goroutine]++
		if goroutine == goroutines-1 {
			return c.fails
		}
		return nil
	}
}
func (c *counter) flush() error { c.flushes++; return nil }
func (c *counter) close() error { return nil }

func TestGeneratorCountsWhatIsPublished(t *testing.T) {
	c := &counter{}
	g := newGenerator(c, 3)
	n, err := g.publish(0)
	require.NoError(t, err)
	total := int64(0)
	for _, calls := range c.calls {
		assert.Positive(t, calls, "each publishes, even if the time is over before it comes to run")
		total += calls
	}
	assert.Equal(t, 3*total, n)
	assert.Equal(t, 1, c.flushes)
	assert.LessOrEqual(t, g.latency(50), g.latency(99))
	g.forget()
	assert.Zero(t, g.latency(99))

	c.fails = errors.New("refused")
	_, err = g.publish(0)
	assert.EqualError(t, err, "refused", "one that fails is a failed measurement")
}

// Each way publishes to a conch for a moment, which must have counted what the way says it has published.
func TestEachWayIsAcknowledged(t *testing.T) {
	for _, s := range scenarios {
		for _, w := range s.ways {
			t.Run(s.name+" "+w.name, func(t *testing.T) {
				conch := harness.Start(t, server.Options{})
				l := load{connections: 2, size: s.size, depth: s.depth}
				if w.only != 0 {
					l.connections = w.only
				}
				got, err := generate(&w, l, order{Address: conch.Addr, Duration: 10 * time.Millisecond})
				require.NoError(t, err)
				text, err := inform(conch.Addr)
				require.NoError(t, err)
				counted, err := published(text)
				require.NoError(t, err)
				assert.Equal(t, got.Published, counted)
				assert.Positive(t, counted)
			})
		}
	}
}

func TestGeneratorRefusesWhatItDoesNotKnow(t *testing.T) {
	tests := []struct{ order, wrong string }{
		{`{`, "unexpected end"},
		{`{"Scenario":"5B"}`, `there is no scenario "5B"`},
		{`{"Scenario":"64B","Way":"by post"}`, `64B has no way "by post"`},
	}
	for _, test := range tests {
		assert.ErrorContains(t, beGenerator([]string{test.order}, io.Discard), test.wrong)
	}
	assert.ErrorContains(t, beGenerator(nil, io.Discard), "is for this program alone")
}

// played is a contest as it may end: the faster of two ways has failed once, and the other always with one server.
func played() *contest {
	c := &contest{rounds: 2, duration: time.Second, servers: []string{"conch", "redis"}}
	c.scenarios = []scenario{{
		name: "64B", title: "64 bytes", connections: []int{1, 16}, ways: []way{{name: "one"}, {name: "only", only: 1}},
	}}
	add := func(server, way string, n, round int, s sample) {
		c.outcomes = append(c.outcomes, outcome{entrant: entrant{"64B", server, way, n}, Round: round, Sample: s})
	}
	for round := 1; round <= 2; round++ {
		more := float64(round - 1)
		add("conch", "one", 1, round, sample{rate: 1e6 + more*1e6, cpu: 1, brokerCPU: 0.25, allocations: 0, volume: 1, connections: 1})
		add("conch", "one", 16, round, sample{rate: 3e6, cpu: 0.5, brokerCPU: 0.25, connections: 2, p50: 100, p99: 1000})
		add("conch", "only", 1, round, sample{rate: 2e5, cpu: 6, connections: 1, p50: 50, p99: 70})
		add("redis", "one", 1, round, sample{rate: 9e5, cpu: 1, connections: 1})
	}
	failed := outcome{entrant: entrant{"64B", "redis", "only", 1}, Round: 2, Error: "refused"}
	c.outcomes = append(c.outcomes, failed)
	return c
}

func TestSection(t *testing.T) {
	where := servers.Environment{
		Date: "2026-01-31", CPU: "A CPU", Kernel: "6.1", Go: "go1.26", Cores: 2, Memory: "8 GiB",
		Servers: []servers.Description{{Name: "conch", Version: "conch v1", Command: "conch 127.0.0.1:PORT"}},
	}
	got, golden := played().markdown(where), filepath.Join("testdata", "section.md")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func TestDocument(t *testing.T) {
	c := played()
	doc := filepath.Join(t.TempDir(), "performance.md")
	require.NoError(t, os.WriteFile(doc, []byte("above\n<!-- clients:begin -->\nold\n<!-- clients:end -->\nbelow\n"), 0o600))
	require.NoError(t, c.write(doc, "new\n"))
	text, err := os.ReadFile(doc)
	require.NoError(t, err)
	assert.Equal(t, `above
<!-- clients:begin -->
new

![clients and conch](performance/clients-conch.svg)

![clients and redis](performance/clients-redis.svg)
<!-- clients:end -->
below
`, string(text))
	for _, server := range c.servers {
		assert.FileExists(t, filepath.Join(filepath.Dir(doc), "performance", plotName(server)))
	}
}

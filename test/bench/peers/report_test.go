package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/test/bench/servers"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// played is a contest as it may end: two rounds, conch wins one scenario, loses another, and a peer dies.
func played() *contest {
	c := &contest{rounds: 2, duration: 2 * time.Second, outcomes: map[string]outcomes{}}
	for _, s := range scenarios {
		if s.name == "1-1" || s.name == "1-1-single" || s.name == "idle" || s.name == "line" {
			c.scenarios = append(c.scenarios, s)
		}
	}
	add := func(scenario, contestant string, samples ...sample) {
		for i, one := range samples {
			got := outcome{Scenario: scenario, Contestant: contestant, Round: i + 1, Sample: one}
			if one == nil {
				got.Error = brief(errors.New("the server died: out of\nmemory"))
			}
			c.outcomes[scenario] = append(c.outcomes[scenario], got)
		}
	}
	add("1-1", "conch", sample{deliveries: 6e6, cpu: 0.2}, sample{deliveries: 6.2e6, cpu: 0.21})
	add("1-1", "redis", sample{deliveries: 1.2e6, cpu: 0.76}, nil)
	add("1-1", "nats", sample{deliveries: 1.5e6, cpu: 0.67}, sample{deliveries: 1.5e6, cpu: 0.66})
	add("1-1", "relay", sample{deliveries: 12e6, cpu: 0.05}, sample{deliveries: 13e6, cpu: 0.05})
	add("1-1-single", "conch", sample{deliveries: 0.7e6, cpu: 1.2}, sample{deliveries: 0.7e6, cpu: 1.2})
	add("1-1-single", "redis", sample{deliveries: 1e6, cpu: 0.9}, sample{deliveries: 1e6, cpu: 0.9})
	add("line", "conch", sample{deliveries: 5e6, cpu: 0.3}, sample{deliveries: 5e6, cpu: 0.3})
	add("line", "conch RESP", sample{deliveries: 6e6, cpu: 0.2}, sample{deliveries: 6e6, cpu: 0.2})
	add("idle", "conch", nil, nil)
	add("idle", "redis", sample{memory: 9.6}, sample{memory: 9.6})
	return c
}

var somewhere = servers.Environment{
	Date: "2026-01-31", CPU: "A CPU", Kernel: "6.1", Go: "go1.26", Cores: 2, Memory: "8 GiB",
	Servers: []servers.Description{
		{Name: "conch", Version: "conch v1", Command: "conch 127.0.0.1:PORT"},
		{Name: "redis", Version: "v=7", Command: "redis-server --save ''"},
	},
}

func TestReport(t *testing.T) {
	var b strings.Builder
	played().report(&b)
	golden(t, "report.txt", b.String())
}

func TestMarkdown(t *testing.T) { golden(t, "section.md", played().markdown(sections[1], somewhere)) }

func TestDocument(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "performance.md")
	marks := "By hand.\n<!-- ordinary:begin -->\n<!-- ordinary:end -->\n<!-- peers:begin -->\n<!-- peers:end -->\n<!-- web:begin -->\nas it was\n<!-- web:end -->\nWhy.\n"
	require.NoError(t, os.WriteFile(doc, []byte(marks), 0o600))
	c := played()
	more, err := chosen("paced-1-1,rooms") // a paced one, for the plot of latencies
	require.NoError(t, err)
	c.scenarios = append(c.scenarios, more...)
	c.outcomes["rooms"] = outcomes{{Contestant: "conch", Round: 1, Sample: sample{deliveries: 8e5, cpu: 1.1, underLoad: 30}}}
	c.outcomes["paced-1-1"] = outcomes{{Contestant: "conch", Round: 1, Sample: sample{p50: 60, p99: 200, cpu: 15}}}
	require.NoError(t, c.write(doc, somewhere))
	text, err := os.ReadFile(doc)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(text), "By hand.\n"))
	assert.True(t, strings.HasSuffix(string(text), "<!-- peers:end -->\n<!-- web:begin -->\nas it was\n<!-- web:end -->\nWhy.\n"))
	top, _, _ := strings.Cut(string(text), "<!-- ordinary:end -->")
	assert.Contains(t, top, "| 20 → 100 topics × 10, one command a write | deliveries/s | 800 k | – | ≥ 1.40× the best peer |")
	assert.NotContains(t, top, "one command a write | deliveries/s | 700 k")
	for _, name := range []string{
		"throughput.svg", "cpu.svg", "latency.svg", "ordinary-throughput.svg", "ordinary-cpu.svg", "ordinary-memory.svg",
	} {
		assert.FileExists(t, filepath.Join(filepath.Dir(doc), "performance", name))
		assert.Contains(t, string(text), "(performance/"+name+")")
	}
	file := filepath.Join(t.TempDir(), "run.json")
	require.NoError(t, c.save(file, somewhere), "NaN has no place in JSON")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

package metrics

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/harness"
)

// written is the output of Write for an unused service with the options.
func written(t *testing.T, o command.Options) string {
	t.Helper()
	core := broker.New(broker.Options{})
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); core.Run(ctx) }()
	s, err := command.NewService(core, o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Stop(); s.Wait(); stop(); <-ran })
	n, ok := s.Snapshot()
	require.True(t, ok)
	var b bytes.Buffer
	Write(&b, n)
	return b.String()
}

// contains keeps the text, which is long, out of what a failure prints.
func contains(t *testing.T, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		assert.Failf(t, "missing", "there is no %q", want)
	}
}

// docs/metrics.md has the rows of the table, in their order, with the texts of HELP.
func TestDocs(t *testing.T) {
	rows := harness.Table(t, "../../docs/metrics.md", "metrics")
	require.Len(t, rows, len(table))
	for i, m := range table {
		assert.Equal(t, []string{m.name, string(m.kind), strings.Join(m.labels, ", "), m.help}, rows[i])
	}
}

// Units stand last in base units, totals of counters behind them, and no label has the name of something that clients make up.
func TestNames(t *testing.T) {
	for _, m := range table {
		assert.Regexp(t, `^conch_[a-z]+(_[a-z]+)*$`, m.name)
		assert.Equal(t, m.kind == counter, strings.HasSuffix(m.name, "_total"), m.name)
		assert.NotRegexp(t, `(seconds|bytes)_`, strings.TrimSuffix(m.name, "_total"), "units last: %s", m.name)
		assert.NotRegexp(t, `_(ms|milli|micro|kilo|kb|mib)`, m.name, "base units")
		for _, label := range m.labels {
			assert.Contains(t, []string{"version", "go_version", "reason", "command", "code", "object", "kind", "direction", "connector", "count", "node"}, label, "%s: the values of a label are words of conch, or of its config file", m.name)
		}
	}
}

// sample is a line of a metric of the table.
var sample = regexp.MustCompile(`^conch_[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+\n$`)

// Each metric comes with its HELP and its TYPE in front, once.
func TestFormat(t *testing.T) {
	text := written(t, command.Options{Version: "1.2"})
	for _, m := range table {
		assert.Equal(t, 1, strings.Count(text, "# HELP "+m.name+" "+m.help+"\n# TYPE "+m.name+" "+string(m.kind)+"\n"), m.name)
	}
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, "conch_") {
			assert.Regexp(t, sample, l)
		}
	}
	contains(t, text, `conch_build_info{version="1.2",go_version="go`)
	contains(t, text, "conch_connections_ended_total{reason=\"slow_hard\"} 0\n")
	contains(t, text, "\nprocess_resident_memory_bytes ")
	contains(t, text, "\nprocess_open_fds ")
	contains(t, text, "\ngo_goroutines ")
}

func TestLabelsAreEscaped(t *testing.T) {
	text := written(t, command.Options{Version: "a\"b\\c\nd"})
	contains(t, text, `conch_build_info{version="a\"b\\c\nd",go_version=`)
}

// cluster is one of two nodes.
type cluster struct{ command.Nodes }

func (cluster) NodeStatus() command.NodeStatus {
	return command.NodeStatus{Name: "a", Role: "leader", Leader: "a", Majority: true, Term: 3, Members: []command.ClusterMember{
		{Name: "a", Voter: true, State: "ok", Snapshot: 9, SnapshotTime: time.UnixMilli(1500)},
		{Name: "b", State: "behind", LagEntries: 7, LagBytes: 700, Link: 1500 * time.Microsecond, ClockAhead: -time.Second},
	}}
}

func TestMembersOfACluster(t *testing.T) {
	text := written(t, command.Options{Nodes: cluster{}})
	for _, want := range []string{
		"conch_cluster_leads 1", "conch_cluster_majority 1", "conch_cluster_term 3", `conch_cluster_member_voter{node="a"} 1`,
		`conch_cluster_member_voter{node="b"} 0`, `conch_cluster_member_ok{node="b"} 0`, `conch_cluster_lag_entries{node="b"} 7`,
		`conch_cluster_lag_bytes{node="b"} 700`, `conch_cluster_link_seconds{node="b"} 0.0015`, `conch_cluster_clock_ahead_seconds{node="b"} -1`,
		`conch_cluster_snapshot{node="a"} 9`, `conch_cluster_snapshot_timestamp_seconds{node="a"} 1.5`, `conch_cluster_snapshot_timestamp_seconds{node="b"} 0`,
	} {
		contains(t, text, "\n"+want+"\n")
	}
	contains(t, written(t, command.Options{}), "\nconch_cluster_majority 0\n")
}

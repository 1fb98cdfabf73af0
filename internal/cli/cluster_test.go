package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// status runs conch cluster status, and returns what it prints.
func status(args ...string) (status int, out, stderr string) {
	var o, e bytes.Buffer
	status = run(append([]string{"conch", "cluster", "status"}, args...), nothing, nil, &o, &e, nil)
	return status, o.String(), e.String()
}

func TestClusterStatus(t *testing.T) {
	listen := harness.FreeAddress(t)
	p := start(t, "--dir="+filepath.Join(t.TempDir(), "a"), "--cluster-name=a", "--cluster-listen="+listen, "--cluster-bootstrap=a="+listen)
	var out, stderr string
	healthy := func(want int) func() bool {
		return func() (is bool) {
			var code int
			code, out, stderr = status(p.Address)
			return code == want
		}
	}
	harness.Eventually(t, healthy(statusOK), "the node is ok")
	assert.Empty(t, stderr)
	assert.Regexp(t, `^cluster [0-9a-f]{16}, as a sees it: a leads, term \d+, entry \d+\n`+
		`NODE +ADDRESS +VOTE +ROLE +STATE +LAG +LINK +CLOCK +SNAPSHOT\n`+
		`a +127\.0\.0\.1:\d+ +voter +leader +ok +0 entries, 0 bytes +- +- +-\n$`, out)

	status1, _, log := do(p.Address, "do", "NODE", "ADD", "b", harness.Unreachable)
	require.Equal(t, statusOK, status1, log)
	harness.Eventually(t, func() bool { return healthy(statusFailure)() && bytes.Contains([]byte(out), []byte("away")) }, "b is away")
	assert.Regexp(t, `\nb +127\.0\.0\.1:\d+ +non-voter +- +away +\d+ entries, [^ ]* bytes +- +- +-\n$`, out)
	assert.Regexp(t, `^conch: cluster status: b is away \(.*connection refused\)\n$`, stderr)
	assert.NotContains(t, stderr, "majority", "it has no vote")

	code, out, _ := status("--json", p.Address)
	assert.Equal(t, statusFailure, code)
	var all map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	assert.Equal(t, true, all["majority"])
	assert.Equal(t, false, all["healthy"])
	assert.Equal(t, "leader", all["role"])
	members := all["members"].([]any)
	require.Len(t, members, 2)
	assert.Equal(t, "ok", members[0].(map[string]any)["state"])
	for _, m := range append(members, any(all)) { // docs/cluster.md has each key
		for key := range m.(map[string]any) {
			assert.Contains(t, docsOf(t, "cluster.md"), "`"+key+"`")
		}
	}
}

func TestClusterStatusOfAConchAlone(t *testing.T) {
	p := start(t)
	code, out, stderr := status(p.Address)
	assert.Equal(t, statusFailure, code)
	assert.Empty(t, out)
	assert.Equal(t, "conch: cluster status: ERR this conch runs alone; start it with --cluster-name to make it a node of a cluster\n", stderr)
	code, _, stderr = status("--url", harness.Unreachable)
	assert.Equal(t, statusFailure, code)
	assert.Contains(t, stderr, "no server listens on "+harness.Unreachable)
	for _, args := range [][]string{{"cluster"}, {"cluster", "stats"}, {"cluster", "status", "a", "b"}} {
		var o, e bytes.Buffer
		assert.Equal(t, statusUsage, run(append([]string{"conch"}, args...), nothing, nil, &o, &e, nil), args)
		assert.NotEmpty(t, e.String())
	}
}

// docsOf is the text of a page.
func docsOf(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	require.NoError(t, err)
	return string(text)
}

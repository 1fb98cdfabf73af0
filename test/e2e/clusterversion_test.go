//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// A node that was built with another version of the cluster's protocol is refused in both directions, and the log of each has the reason. The others go on.
func TestANodeOfAnotherVersion(t *testing.T) {
	other := filepath.Join(t.TempDir(), "conch")
	out, err := exec.Command("go", "build", "-ldflags", "-X github.com/conchmq/conch/internal/cluster.version=other", "-o", other, "../..").CombinedOutput()
	require.NoError(t, err, string(out))
	var members, listen []string
	names := []string{"a", "b", "c"}
	for _, name := range names {
		address := harness.FreeAddress(t)
		listen, members = append(listen, address), append(members, name+"="+address)
	}
	flags := func(i int) []string {
		return []string{
			"127.0.0.1:0", "--log-format", "json", "--dir", t.TempDir(), "--cluster-name", names[i], "--cluster-listen", listen[i],
			"--cluster-bootstrap", strings.Join(members, ","),
		}
	}
	a, b, c := launch(t, binary, flags(0)...), launch(t, binary, flags(1)...), launch(t, other, flags(2)...)
	const run = ": run one version of conch on all nodes"
	a.awaitError("it speaks version other of the cluster's protocol, and this node version 3" + run)
	c.awaitError("it speaks version 3 of the cluster's protocol, and this node version other" + run)
	harness.Eventually(t, func() bool { return a.pings() && b.pings() }, "both serve clients")
	assert.False(t, c.pings(), "it is LOADING")
}

// awaitError waits for a log line whose error has a text.
func (c *conch) awaitError(text string) {
	c.t.Helper()
	for {
		if strings.Contains(c.awaitLog("error")["error"].(string), text) {
			return
		}
	}
}

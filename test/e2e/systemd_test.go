//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exposure is what systemd-analyze security may find at most, in tenths. Below 20 it says OK; what is left is that a
// broker has to talk to the network.
const exposure = "20"

// The unit is one that systemd takes without a word, and lets conch do little. Neither needs a running systemd.
func TestTheUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	text, err := os.ReadFile("../../packaging/conch.service")
	require.NoError(t, err)
	unit := filepath.Join(t.TempDir(), "conch.service") // with a binary that is there, or verify complains
	require.Equal(t, 1, strings.Count(string(text), "ExecStart=/usr/local/bin/conch "))
	adapted := strings.Replace(string(text), "ExecStart=/usr/local/bin/conch", "ExecStart="+binary, 1)
	require.NoError(t, os.WriteFile(unit, []byte(adapted), 0o600))

	out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--generators=no", unit).CombinedOutput()
	assert.NoError(t, err)
	assert.Empty(t, string(out))

	out, err = exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+exposure, unit).CombinedOutput()
	assert.NoError(t, err, string(out))
}

// The options that the unit gives are options of the binary.
func TestTheUnitsCommand(t *testing.T) {
	config := filepath.Join(t.TempDir(), "conch.toml")
	require.NoError(t, os.WriteFile(config, []byte("drain-timeout = \"1s\"\n"), 0o600))
	c := start(t, "", "--config", config)
	c.stop()
}

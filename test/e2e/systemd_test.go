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

	"github.com/conchmq/conch/internal/harness"
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

// The drop-in with TLS and users is one that systemd takes. Its command serves both, with the credentials in the folder
// that systemd names and with the modes that systemd 254 gives them; as no systemd runs here, the test is systemd.
func TestTheDropIn(t *testing.T) {
	text, err := os.ReadFile("../../packaging/conch.service.d/tls-acl.conf")
	require.NoError(t, err)
	var command string
	var credentials []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "ExecStart=/usr/local/bin/conch "); ok {
			command = rest
		}
		if rest, ok := strings.CutPrefix(line, "LoadCredential="); ok {
			name, _, _ := strings.Cut(rest, ":")
			credentials = append(credentials, name)
		}
	}
	assert.Equal(t, []string{"tls.crt", "tls.key", "users.acl"}, credentials)
	require.NotEmpty(t, command)

	t.Run("verify", func(t *testing.T) {
		needs(t, "systemd-analyze")
		unit, err := os.ReadFile("../../packaging/conch.service")
		require.NoError(t, err)
		folder := t.TempDir()
		adapt := func(text []byte) []byte {
			return []byte(strings.ReplaceAll(string(text), "/usr/local/bin/conch", binary))
		}
		require.NoError(t, os.Mkdir(filepath.Join(folder, "conch.service.d"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "conch.service"), adapt(unit), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "conch.service.d", "tls-acl.conf"), adapt(text), 0o600))
		cmd := exec.Command("systemd-analyze", "verify", "--man=no", "--generators=no", filepath.Join(folder, "conch.service"))
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+folder+":")
		out, err := cmd.CombinedOutput()
		assert.NoError(t, err)
		assert.Empty(t, string(out))
	})

	folder, secrets := t.TempDir(), t.TempDir()
	a := harness.NewAuthority(t)
	cert, key := a.Valid(t, "localhost").Write(t, folder)
	users := filepath.Join(folder, "users")
	require.NoError(t, os.WriteFile(users, []byte("user default off\nuser app on >secret &* +@all\n"), 0o600))
	for name, source := range map[string]string{"tls.crt": cert, "tls.key": key, "users.acl": users} {
		content, err := os.ReadFile(source)
		require.NoError(t, err)
		file := filepath.Join(secrets, name)
		require.NoError(t, os.WriteFile(file, content, 0o600))
		require.NoError(t, os.Chmod(file, 0o440))
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "conch.toml"), []byte("listen = \"127.0.0.1:0\"\n"), 0o600))
	t.Setenv("CREDENTIALS_DIRECTORY", secrets)
	t.Setenv("CONFIGURATION_DIRECTORY", folder)
	args := strings.Fields(strings.Replace(os.ExpandEnv(command), "--tls-listen :8890", "--tls-listen 127.0.0.1:0", 1))
	c := launch(t, binary, args...)
	ca := filepath.Join(folder, "ca.pem")
	require.NoError(t, os.WriteFile(ca, a.PEM, 0o600))
	t.Setenv("CONCH_URL", "conchs://app:secret@"+c.started["tls-address"].(string))
	out, err := exec.Command(binary, "do", "--tls-ca", ca, "ACL", "WHOAMI").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "app\n", string(out))
	c.stop()
}

// The options that the unit gives are options of the binary.
func TestTheUnitsCommand(t *testing.T) {
	config := filepath.Join(t.TempDir(), "conch.toml")
	require.NoError(t, os.WriteFile(config, []byte("drain-timeout = \"1s\"\n"), 0o600))
	c := start(t, "", "--config", config)
	c.stop()
}

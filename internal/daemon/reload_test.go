package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/harness"
)

func TestSIGHUPReloadsTheLogLevel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conch.toml")
	harness.WriteFile(t, file, []byte("log-level = 'info'\nmax-line = 2048"))
	p := start(t, "--config="+file)
	harness.WriteFile(t, file, []byte("log-level = 'debug'\nmax-line = 4096\nslow-time = '1m'"))
	p.Signals <- reloadSignal
	assert.Equal(t, "debug", p.Log.Await(t, changed, 1)["log-level"])
	line := p.Log.Await(t, "these settings have changed: they take effect at the next start", 1)
	assert.Equal(t, []any{"max-line"}, line["settings"])

	harness.WriteFile(t, file, []byte("log-level = 'loud'"))
	p.Signals <- reloadSignal
	line = p.Log.Await(t, "the settings cannot be read; those read before stay in force", 1)
	assert.Contains(t, line["error"], `"loud"`)

	harness.WriteFile(t, file, []byte("log-level = 'warn'"))
	p.Request(p.Dial(), "CONFIG SET log-level trace\n", "+OK\r\n")
	p.Signals <- reloadSignal
	assert.Equal(t, "warn", p.Log.Await(t, changed, 2)["log-level"])
	p.Request(p.Dial(), "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$9\r\nlog-level\r\n", "*2\r\n$9\r\nlog-level\r\n$4\r\nwarn\r\n")
}

func TestSIGHUPReloadsTheACLFile(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users.acl")
	harness.WriteFile(t, users, []byte("user default on nopass ~* &* +@all\nuser gone on >x ~* &* +@all\n"))
	p := start(t, "--aclfile="+users)
	gone := p.Dial()
	p.Request(gone, "AUTH gone x\n", "+OK\r\n")

	harness.WriteFile(t, users, []byte("user default on nopas\n"))
	p.Signals <- reloadSignal
	line := p.Log.Await(t, "the ACL file cannot be used; the rules loaded before stay in force", 1)
	assert.Contains(t, line["error"], users+":1")
	p.Request(gone, "PING\n", "+PONG\r\n")

	require.NoError(t, os.Remove(users))
	p.Signals <- reloadSignal
	p.Log.Await(t, "the ACL file cannot be used; the rules loaded before stay in force", 2)

	harness.WriteFile(t, users, []byte("user default on nopass ~* &* +@all -ping\n"))
	p.Signals <- reloadSignal
	p.Log.Await(t, "the ACL file is loaded", 1)
	p.Request(p.Dial(), "PING\n", "-NOPERM")
	_, err := gone.Read(make([]byte, 1000))
	for err == nil { // the user is gone, and so is its connection
		_, err = gone.Read(make([]byte, 1000))
	}
}

// Each setting can be read under its own name, and none but the log level, the password and what is state be set.
func TestConfigGetKnowsEverySetting(t *testing.T) {
	p := start(t, "--requirepass=")
	c := harness.Use(t, p.Dial())
	for _, setting := range config.Settings() {
		s := setting.Name
		c.Command("CONFIG", "GET", s)
		frame, err := c.Frame()
		require.NoError(t, err)
		assert.Contains(t, string(frame), "*2\r\n", s)
		if s != "log-level" && s != "requirepass" && !setting.IsState {
			c.Command("CONFIG", "SET", s, "1")
			frame, err = c.Frame()
			require.NoError(t, err)
			assert.Contains(t, string(frame), "can't set immutable config", s)
		}
	}
}

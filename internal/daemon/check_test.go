package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

func TestCheck(t *testing.T) {
	folder := t.TempDir()
	cert, key := harness.NewAuthority(t).Valid(t, "localhost").Write(t, folder)
	users := filepath.Join(folder, "users.acl")
	require.NoError(t, os.WriteFile(users, []byte("user default on nopass ~* &* +@all\n"), 0o600))
	flags := []string{"--tls-listen=127.0.0.1:1", "--tls-cert=" + cert, "--tls-key=" + key, "--aclfile=" + users}
	assert.NoError(t, Check(load(t, flags...)), "port 1 is not opened")

	require.NoError(t, os.WriteFile(users, []byte("user default on nopas\n"), 0o600))
	assert.ErrorContains(t, Check(load(t, flags...)), users+":1:")
	require.NoError(t, os.Chmod(key, 0o644))
	assert.ErrorContains(t, Check(load(t, flags...)), "tls-key "+key)
}

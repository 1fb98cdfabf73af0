package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A state that cannot be restored stops one start, and not the next.
func TestAReceivedStateThatIsOfNoUse(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "cluster", received)
	require.NoError(t, os.MkdirAll(at, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(at, "0000000000000001.log"), []byte("no log"), 0o600))
	kept := filepath.Join(dir, "0000000000000001.log")
	require.NoError(t, os.WriteFile(kept, []byte("the old one"), 0o600))

	assert.ErrorContains(t, Prepare(dir), "asks for it again")
	assert.NoError(t, Prepare(dir))
	text, err := os.ReadFile(kept)
	require.NoError(t, err)
	assert.Equal(t, "the old one", string(text))
}

package daemon

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// A state that comes from a node with another key ends the node that gets it, with an error that names the option for it.
func TestAStateThatAnotherKeyEncrypts(t *testing.T) {
	keys := t.TempDir()
	for _, key := range []string{"1", "2"} {
		harness.WriteFile(t, filepath.Join(keys, key), []byte(strings.Repeat(key, 64)))
	}
	c := newCluster(t, "a", "b")
	alone := start(t, "--dir="+c.dirs["a"], "--encrypt-key-file="+filepath.Join(keys, "1"))
	a := harness.Use(t, alone.Dial())
	a.Send("XADD old 1-1 n 1\r\n") // a node with an empty directory lacks it
	a.Expect("$3\r\n1-1\r\n")
	alone.Signals <- syscall.SIGTERM
	require.NoError(t, alone.wait())
	c.names = []string{"a"}
	c.start("a", "--encrypt-key-file="+filepath.Join(keys, "1"))
	a = c.dial("a")
	b := start(t, "--dir="+c.dirs["b"], "--cluster-name=b", "--cluster-listen="+c.addresses["b"], "--cluster-election=2s", "--cluster-timeout=1m",
		"--encrypt-key-file="+filepath.Join(keys, "2"))
	a.Command("NODE", "ADD", "b", c.addresses["b"])
	a.Expect("+OK\r\n")
	assert.ErrorContains(t, b.wait(), "is encrypted with another key than the one in --encrypt-key-file; a former key is named by --encrypt-old-key-file")
}

package daemon

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAUnixSocketHasItsMode(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, 0o700, 0o770, 0o777} {
		path := t.TempDir() + "/s"
		l, err := listenUnix(path, mode)
		require.NoError(t, err)
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, mode|os.ModeSocket, info.Mode())
		require.NoError(t, l.Close())
		assert.NoFileExists(t, path)
	}
}

// The socket of a killed process is replaced. A socket in use is not, nor is any other file.
func TestWhatIsInTheWayOfAUnixSocket(t *testing.T) {
	t.Run("a socket that nobody answers on", func(t *testing.T) {
		path := t.TempDir() + "/s"
		killed, err := net.Listen("unix", path)
		require.NoError(t, err)
		killed.(*net.UnixListener).SetUnlinkOnClose(false)
		require.NoError(t, killed.Close())
		l, err := listenUnix(path, 0o700)
		require.NoError(t, err)
		require.NoError(t, l.Close())
	})
	t.Run("a socket that somebody answers on", func(t *testing.T) {
		path := t.TempDir() + "/s"
		other, err := listenUnix(path, 0o700)
		require.NoError(t, err)
		_, err = listenUnix(path, 0o700)
		assert.EqualError(t, err, "cannot listen on the Unix socket "+path+": another conch (or another program) has it; choose another path")
		c, err := net.Dial("unix", path)
		require.NoError(t, err, "the other one is not disturbed")
		require.NoError(t, c.Close())
		require.NoError(t, other.Close())
	})
	t.Run("a file", func(t *testing.T) {
		path := t.TempDir() + "/s"
		require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
		_, err := listenUnix(path, 0o700)
		assert.ErrorContains(t, err, "something else is there")
		assert.FileExists(t, path)
	})
	t.Run("a link, wherever it leads", func(t *testing.T) {
		path := t.TempDir() + "/s"
		require.NoError(t, os.Symlink("elsewhere", path))
		_, err := listenUnix(path, 0o700)
		assert.ErrorContains(t, err, "something else is there")
	})
	t.Run("no folder", func(t *testing.T) {
		path := t.TempDir() + "/none/s"
		_, err := listenUnix(path, 0o700)
		assert.EqualError(t, err, "cannot listen on the Unix socket "+path+": no such file or directory; "+
			"its folder must exist, and conch be allowed to write there")
	})
}

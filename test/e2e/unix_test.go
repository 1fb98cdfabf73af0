//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAUnixSocketWithRealClients(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conch.sock")
	c := start(t, "", "--unix-socket", path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.ModeSocket|0o700, info.Mode())

	person := c.run("nc", "-U", path)
	person.enter("SUB news")
	assert.Equal(t, "OK SUB news", person.line())
	cli := c.run("redis-cli", "-s", path, "PUBLISH", "news", "hi")
	assert.Equal(t, "1\n", cli.rest())
	assert.Equal(t, "UPDATE news hi", person.line())
	assert.Contains(t, c.cli("CLIENT", "LIST"), " addr="+path+":0 laddr="+path+":0 ")
	c.stop()
	assert.NoFileExists(t, path)
}

func TestAUnixSocketThatIsThereAlready(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conch.sock")
	first := start(t, "", "--unix-socket", path)
	out, err := exec.Command(binary, "127.0.0.1:0", "--unix-socket", path).CombinedOutput()
	assert.Error(t, err)
	assert.Equal(t, "conch: cannot listen on the Unix socket "+path+": another conch (or another program) has it; choose another path\n", string(out))
	cli := first.run("redis-cli", "-s", path, "PING")
	assert.Equal(t, "PONG\n", cli.rest())

	require.NoError(t, first.cmd.Process.Signal(syscall.SIGKILL))
	for range first.log { // until it is gone
	}
	assert.Error(t, first.cmd.Wait())
	assert.FileExists(t, path, "a killed conch leaves it")
	second := start(t, "", "--unix-socket", path)
	cli = second.run("redis-cli", "-s", path, "PING")
	assert.Equal(t, "PONG\n", cli.rest())
	second.stop()
}

// redis-server is asked how it shows a Unix connection: conch shows it so, too.
func TestAUnixSocketIsShownAsInRedis(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redis.sock")
	redis := exec.Command("redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--daemonize", "no")
	out, err := redis.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, redis.Start())
	t.Cleanup(func() { _ = redis.Process.Kill(); _ = redis.Wait() })
	buf := make([]byte, 1<<16)
	c := &conch{t: t}
	for {
		if _, err := os.Stat(path); err == nil {
			break
		}
		_, err := out.Read(buf) // it says more when it is further
		require.NoError(t, err)
	}
	cli := c.run("redis-cli", "-s", path, "CLIENT", "LIST")
	assert.Contains(t, cli.rest(), " addr="+path+":0 laddr="+path+":0 ")
}

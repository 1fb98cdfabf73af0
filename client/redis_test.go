package client

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// redis starts a redis-server of the test's own, on a Unix socket.
func redis(t *testing.T) (url string) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on the PATH: nothing was tested against Redis")
	}
	path := filepath.Join(t.TempDir(), "redis.sock")
	command := exec.Command(program, "--port", "0", "--unixsocket", path, "--save", "", "--daemonize", "no")
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill() // there is nothing to save
		_ = command.Wait()         // the error of the kill
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "ready to accept connections") {
			return "unix://" + path + "?sequences=true&min_backoff=1ms"
		}
	}
	require.FailNow(t, "redis-server ended before it was ready")
	return ""
}

func TestRedis(t *testing.T) {
	c, err := DialURL(t.Context(), redis(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	assert.False(t, c.HasSequences())
	sub := listenTo(t, c, Topic("a"), Pattern("b*"), Topic("c WHERE d"))
	assert.Equal(t, 1, mustPublish(t, c, "a", "hi"))
	assert.Equal(t, 1, mustPublish(t, c, "bb", "\x00\r\n"))
	assert.Equal(t, 1, mustPublish(t, c, "c WHERE d", ""))
	assert.Equal(t, 0, mustPublish(t, c, "d", ""))
	assert.Equal(t, []string{"a||hi :0<0", "bb|b*|\x00\r\n :0<0", "c WHERE d|| :0<0"}, events(t, sub, 3))
	_, err = c.Subscribe(t.Context(), Topic("a").Where("price > 1"))
	assert.ErrorIs(t, err, ErrNoPredicates)
	_, err = c.Subscribe(t.Context(), Topic("a").From("0"))
	assert.ErrorIs(t, err, ErrNoPositions)
	w, err := c.options.dial(t.Context())
	require.NoError(t, err)
	require.NoError(t, w.do("CLIENT", "KILL", "TYPE", "pubsub"))
	require.NoError(t, w.Close())
	assert.Equal(t, "reconnected  false, 0 to 0", events(t, sub, 2)[1])
	assert.Equal(t, 1, mustPublish(t, c, "a", "again"))
	assert.Equal(t, []string{"a||again :0<0"}, events(t, sub, 1))
}

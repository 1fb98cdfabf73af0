//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/testseed"
)

// connected reports whether conch has one of these connections still.
func connected(c *conch, socks []net.Conn) bool {
	list := c.cli("CLIENT", "LIST")
	return slices.ContainsFunc(socks, func(sock net.Conn) bool { return strings.Contains(list, " addr="+sock.LocalAddr().String()+" ") })
}

// conchDo runs conch with arguments, and returns what it prints.
func conchDo(args ...string) (string, error) {
	out, err := exec.Command(binary, args...).CombinedOutput()
	return string(out), err
}

// Backups under load: of a conch that runs, killed in the middle of one, gone on with, restored. What was acknowledged before a backup is in
// it, whole and in order.
func TestBackupUnderLoad(t *testing.T) {
	seed := testseed.New()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	base := t.TempDir()
	dir, folder := filepath.Join(base, "log"), filepath.Join(base, "backup")
	args := []string{"--dir", dir, "--fsync", "always", "--segment-size", "64KiB"}
	var appenders []*appender
	for i := range 4 {
		appenders = append(appenders, &appender{name: fmt.Sprintf("own%d", i)})
	}
	c := start(t, "", args...)
	for round := range 3 {
		earlier := int64(0)
		for _, a := range appenders {
			earlier += int64(a.acked)
		}
		var acked atomic.Int64
		var running sync.WaitGroup
		var socks []net.Conn
		for _, a := range appenders {
			sock := c.dial()
			socks = append(socks, sock)
			running.Go(func() { a.run(sock, 20, &acked) })
		}
		harness.Eventually(t, func() bool { return acked.Load() > 2000 }, "entries are not acknowledged")
		before := earlier + acked.Load()
		out, err := conchDo("log", "backup", "--url", net.JoinHostPort(c.host, c.port), folder)
		require.NoError(t, err, out)
		assert.Contains(t, out, "backed up")
		enough := acked.Load() + random.Int64N(1000)
		harness.Eventually(t, func() bool { return acked.Load() >= enough }, "appends go on")

		if round == 1 { // killed in the middle of the next one: the last one stays
			assert.Contains(t, c.cli("LOG", "BACKUP", folder), "started")
			require.NoError(t, c.cmd.Process.Kill())
			for range c.log { // until it has ended
			}
			_ = c.cmd.Wait() // it was killed
		}
		for _, sock := range socks {
			_ = sock.Close()
		}
		running.Wait()
		if round != 1 {
			harness.Eventually(t, func() bool { return !connected(c, socks) }, "what the appenders have sent is applied")
		}
		checkBackup(t, folder, appenders, before)
		if round == 1 {
			c = start(t, "", args...)
		}
		for _, a := range appenders { // the next round goes on behind what is there
			_, fields := entries(t, c, a.name)
			a.sent, a.acked = len(fields), len(fields)
		}
	}
	out, err := conchDo("log", "restore", folder, dir)
	require.Error(t, err)
	assert.Contains(t, out, dir+" is not empty")
	out, err = conchDo("log", "backup", dir, folder)
	require.Error(t, err)
	assert.Contains(t, out, "a conch runs on "+dir)
	out, err = conchDo("log", "verify", dir)
	require.NoError(t, err, out)
	c.stop()
	out, err = conchDo("log", "verify", dir)
	require.NoError(t, err, out)
	out, err = conchDo("log", "backup", dir, folder)
	require.NoError(t, err, out)
	out, err = conchDo("log", "verify", folder)
	require.NoError(t, err, out)
}

// checkBackup restores a backup, and holds what a conch finds there.
func checkBackup(t *testing.T, folder string, appenders []*appender, atLeast int64) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	out, err := conchDo("log", "restore", folder, dir)
	require.NoError(t, err, out)
	out, err = conchDo("log", "verify", dir)
	require.NoError(t, err, out)
	dumped, err := conchDo("log", "dump", "--stream", "own*", dir)
	require.NoError(t, err)
	c := start(t, "", "--dir", dir)
	all := 0
	for _, a := range appenders {
		_, fields := entries(t, c, a.name)
		for i, pair := range fields {
			require.Equal(t, []string{"n", fmt.Sprint(i + 1)}, pair, a.name)
		}
		require.LessOrEqual(t, len(fields), a.sent)
		all += len(fields)
	}
	assert.GreaterOrEqual(t, int64(all), atLeast)
	assert.Equal(t, all, strings.Count(dumped, "\n"))
	c.stop()
}

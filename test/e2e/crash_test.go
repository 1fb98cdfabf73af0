//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/testseed"
)

// appender appends numbered entries to a stream of its own, and to one that all share, until its connection ends.
type appender struct {
	name        string
	sent, acked int // the number of the last entry
}

// run appends in batches, of which each reply is counted.
func (a *appender) run(c net.Conn, batch int, acked *atomic.Int64) {
	replies := bufio.NewReader(c)
	for {
		var text strings.Builder
		for range batch {
			a.sent++
			text.WriteString(harness.RESP("XADD", a.name, "*", "n", strconv.Itoa(a.sent)))
			text.WriteString(harness.RESP("XADD", "all", "*", "from", a.name, "n", strconv.Itoa(a.sent)))
		}
		if _, err := c.Write([]byte(text.String())); err != nil {
			return
		}
		for i := range 2 * batch {
			frame, err := harness.ReadFrame(replies)
			if err != nil {
				return
			}
			if frame[0] != '$' {
				panic(fmt.Sprintf("%s: %q", a.name, frame))
			}
			if i%2 == 1 { // the entry of its own came before
				a.acked++
				acked.Add(1)
			}
		}
	}
}

// entries returns the entries of a stream: their ids and their fields.
func entries(t *testing.T, c *conch, key string) (ids []string, fields [][]string) {
	t.Helper()
	sock := harness.Use(t, c.dial())
	for from := "-"; ; {
		sock.Command("XRANGE", key, from, "+", "COUNT", "1000")
		frame, err := sock.Frame()
		require.NoError(t, err)
		words := strings.Split(string(frame), "\r\n")
		count, err := strconv.Atoi(strings.TrimPrefix(words[0], "*"))
		require.NoError(t, err, "%.200q", frame)
		at := 1
		text := func() string { at += 2; return words[at-1] }
		for range count {
			require.Equal(t, "*2", words[at])
			at++
			ids = append(ids, text())
			n, err := strconv.Atoi(strings.TrimPrefix(words[at], "*"))
			require.NoError(t, err)
			at++
			pairs := make([]string, n)
			for i := range pairs {
				pairs[i] = text()
			}
			fields = append(fields, pairs)
		}
		if count < 1000 {
			return ids, fields
		}
		from = "(" + ids[len(ids)-1]
	}
}

// check holds what a restart finds of an appender: all that was acknowledged, in order, each once, and nothing that was not sent.
func (a *appender) check(t *testing.T, found []int) {
	t.Helper()
	require.GreaterOrEqual(t, len(found), a.acked, "%s: acknowledged entries are lost", a.name)
	require.LessOrEqual(t, len(found), a.sent, "%s: entries that were not sent", a.name)
	for i, n := range found {
		require.Equal(t, i+1, n, "%s: torn, doubled or reordered", a.name)
	}
}

// killMidway runs appenders until some hundred entries are acknowledged, and kills conch in the middle.
func killMidway(t *testing.T, c *conch, random *rand.Rand, appenders []*appender) {
	t.Helper()
	var acked atomic.Int64
	var running sync.WaitGroup
	for _, a := range appenders {
		sock, batch := c.dial(), 1+random.IntN(40)
		running.Go(func() { a.run(sock, batch, &acked) })
	}
	enough := 200 + random.Int64N(3000)
	harness.Eventually(t, func() bool { return acked.Load() >= enough }, "entries are not acknowledged")
	require.NoError(t, c.cmd.Process.Kill())
	for range c.log { // until it has ended
	}
	_ = c.cmd.Wait() // it was killed
	running.Wait()
}

// A SIGKILL in the middle of appends loses nothing that was acknowledged, unless fsync is no; it tears, doubles and reorders nothing,
// and the server that is started on the directory answers and goes on. In between, a clean stop leaves a checkpoint.
func TestAKillLosesNothingThatWasAcknowledged(t *testing.T) {
	for _, fsync := range []string{"always", "1s"} {
		t.Run(fsync, func(t *testing.T) {
			seed := testseed.New()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			args := []string{"--dir", filepath.Join(t.TempDir(), "log"), "--fsync", fsync, "--segment-size", "256KiB"}
			var appenders []*appender
			for i := range 4 {
				appenders = append(appenders, &appender{name: fmt.Sprintf("own%d", i)})
			}
			for round := range 6 {
				c := start(t, "", args...)
				checkAll(t, c, appenders)
				if round == 3 {
					c.stop()
					c = start(t, "", args...)
				}
				killMidway(t, c, random, appenders)
			}
			c := start(t, "", args...)
			checkAll(t, c, appenders)
			c.stop()
		})
	}
}

// checkAll checks all streams, and takes what was found for what is there from now on.
func checkAll(t *testing.T, c *conch, appenders []*appender) {
	t.Helper()
	ids, fields := entries(t, c, "all")
	inAll := map[string][]int{}
	for i := range ids {
		if i > 0 {
			assert.True(t, isBefore(ids[i-1], ids[i]), "%s, %s", ids[i-1], ids[i])
		}
		n, err := strconv.Atoi(fields[i][3])
		require.NoError(t, err)
		inAll[fields[i][1]] = append(inAll[fields[i][1]], n)
	}
	for _, a := range appenders {
		_, fields := entries(t, c, a.name)
		var found []int
		for _, pair := range fields {
			require.Equal(t, "n", pair[0])
			n, err := strconv.Atoi(pair[1])
			require.NoError(t, err)
			found = append(found, n)
		}
		a.check(t, found)
		a.check(t, inAll[a.name])
		// Of the last entry that was sent, the half in the shared stream may be missing: it is appended now.
		for n := len(inAll[a.name]) + 1; n <= len(found); n++ {
			assert.Contains(t, c.cli("XADD", "all", "*", "from", a.name, "n", strconv.Itoa(n)), "-")
		}
		a.sent, a.acked = len(found), len(found)
	}
}

// isBefore reports whether an id is smaller than another.
func isBefore(a, b string) bool {
	x, y := strings.SplitN(a, "-", 2), strings.SplitN(b, "-", 2)
	for i := range x {
		p, _ := strconv.ParseUint(x[i], 10, 64)
		q, _ := strconv.ParseUint(y[i], 10, 64)
		if p != q {
			return p < q
		}
	}
	return false
}

// A subscription goes on over a restart where it was: after a clean stop it is known that nothing was missed, after a kill it is
// not.
func TestAPositionOverARestart(t *testing.T) {
	args := []string{"--dir", filepath.Join(t.TempDir(), "log"), "--recent", "1MiB"}
	c := start(t, "", args...)
	sock := harness.Use(t, c.dial())
	sock.Send("SEQ ON\n")
	first := strings.Fields(sock.Line())[3]
	sock.Send("PUB a one\nPUB a two\n")
	sock.Expect("OK PUB a #1\nOK PUB a #2\n")
	c.stop()

	c = start(t, "", args...)
	sock = harness.Use(t, c.dial())
	sock.Send("SEQ ON\n")
	words := strings.Fields(sock.Line())
	second := words[3]
	assert.NotEqual(t, first, second)
	assert.Equal(t, "#2", words[4], "the sequence goes on")
	sock.Send("SUB a FROM %s-3\nPUB a three\n", first)
	sock.Expect("OK SUB a\nOK PUB a #3\nUPDATE #3 a three\n")
	late := harness.Use(t, c.dial())
	late.Send("SUB a FROM %s-3\nPSUB a* FROM %s-2\n", first, first)
	late.Expect("OK SUB a\n")
	assert.ElementsMatch(t, []string{"UPDATE a three", "OK PSUB a*", "MISSED ? a*", "UPDATE a three"}, []string{late.Line(), late.Line(), late.Line(), late.Line()})
	require.NoError(t, c.cmd.Process.Kill())
	for range c.log { // until it has ended
	}
	_ = c.cmd.Wait() // it was killed

	c = start(t, "", args...)
	sock = harness.Use(t, c.dial())
	sock.Send("SUB a FROM %s-4\nPUB a four\n", second)
	sock.Expect("OK SUB a\n")
	assert.ElementsMatch(t, []string{"MISSED ? a", "OK PUB a", "UPDATE a four"}, []string{sock.Line(), sock.Line(), sock.Line()})
	c.stop()
}

// A directory of another user is an error of one line that names what to do.
func TestADirectoryOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it takes root to be another user")
	}
	folder, err := os.MkdirTemp("", "conch-user") // not that of the test, which others cannot enter
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	require.NoError(t, os.Chmod(folder, 0o755)) //nolint:gosec // the other user executes what is there
	content, err := os.ReadFile(binary)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(folder+"/conch", content, 0o755)) //nolint:gosec // the same
	require.NoError(t, os.Mkdir(folder+"/log", 0o700))
	for dir, want := range map[string]string{
		"/log":     "permission denied; the user of conch must be its owner",
		"/log/new": "permission denied; the user of conch must be its owner",
		"/new":     "permission denied; the user of conch must be its owner",
	} {
		cmd := exec.Command(folder+"/conch", "127.0.0.1:0", "--dir", folder+dir)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		assert.Error(t, err)
		assert.Equal(t, "conch: the directory "+folder+dir+" cannot be used: "+want+"\n", string(out))
	}
}

// A disk without space refuses what adds to streams. Reads and plain topics go on, and so does the log once there is space.
func TestADiskWithoutSpace(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("conch", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %s", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	c := start(t, "", "--dir", disk+"/log", "--fsync", "always", "--segment-size", "64KiB")
	sock := harness.Use(t, c.dial())
	text, added := strings.Repeat("x", 1000), 0
	for {
		sock.Command("XADD", "a", "*", "n", text)
		frame, err := sock.Frame()
		require.NoError(t, err)
		if frame[0] == '-' {
			assert.Contains(t, string(frame), "MISCONF")
			break
		}
		added++
		require.Less(t, added, 4000)
	}
	assert.Greater(t, added, 500)
	assert.Contains(t, c.cli("INFO", "persistence"), "log_state:full")
	assert.Equal(t, "0", strings.TrimSpace(c.cli("PUBLISH", "news", "hi")))
	assert.Equal(t, strconv.Itoa(added), strings.TrimSpace(c.cli("XLEN", "a")))
	assert.Equal(t, "1", strings.TrimSpace(c.cli("DEL", "a")), "what gives back space is possible")
	require.NoError(t, syscall.Mount("conch", disk, "tmpfs", syscall.MS_REMOUNT, "size=8m"))
	harness.Eventually(t, func() bool {
		return strings.Contains(c.cli("XADD", "b", "*", "n", "1"), "-") && !strings.Contains(c.cli("INFO", "persistence"), "log_state:full")
	},
		"appends do not go on")
	c.stop()

	c = start(t, "", "--dir", disk+"/log")
	assert.Equal(t, "0", strings.TrimSpace(c.cli("EXISTS", "a")))
	assert.Equal(t, "1", strings.TrimSpace(c.cli("EXISTS", "b")))
	c.stop()
}

// A disk that fills up under a flood of appends takes them again once a stream is deleted, with no other help and without a restart.
// What was answered is there.
func TestAFloodOnASmallDisk(t *testing.T) {
	for _, fsync := range []string{"always", "1s", "no"} {
		t.Run(fsync, func(t *testing.T) {
			disk := t.TempDir()
			if err := syscall.Mount("conch", disk, "tmpfs", 0, "size=6m"); err != nil {
				t.Skipf("a small disk cannot be mounted here: %s", err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
			args := []string{"--dir", disk + "/log", "--fsync", fsync, "--segment-size", "64KiB", "--unsynced", "1MiB"}
			c := start(t, "", args...)
			sock := harness.Use(t, c.dial())
			const pipelined = 100
			flood, added := strings.Repeat(harness.RESP("XADD", "a", "*", "n", strings.Repeat("x", 1000)), pipelined), 0
			for full := false; !full; {
				sock.Send("%s", flood)
				for range pipelined {
					frame, err := sock.Frame()
					require.NoError(t, err)
					if frame[0] == '-' {
						full = true
					} else {
						added++
					}
				}
				require.Less(t, added, 10_000)
			}
			assert.Contains(t, c.cli("INFO", "persistence"), "log_state:full")
			assert.Equal(t, strconv.Itoa(added), strings.TrimSpace(c.cli("XLEN", "a")))
			c.cli("XADD", "b", "*", "n", "refused")
			assert.Equal(t, "1", strings.TrimSpace(c.cli("DEL", "a")))
			harness.Eventually(t, func() bool { return !strings.Contains(c.cli("XADD", "b", "*", "n", "1"), "MISCONF") }, "appends do not go on")
			require.NoError(t, c.cmd.Process.Kill())
			for range c.log { // until it has ended
			}
			_ = c.cmd.Wait() // it was killed

			c = start(t, "", args...)
			assert.Equal(t, "0", strings.TrimSpace(c.cli("EXISTS", "a")))
			c.stop()
		})
	}
}

//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// pendingIDs are ids of entries that the server made.
var pendingIDs = regexp.MustCompile(`\b1[6-9]\d{11}-\d+`)

// worker is a consumer of the group: what it got, which of that it has tried to acknowledge, and what was acknowledged.
type worker struct {
	name              string
	got, tried, acked map[string]bool
	random            *rand.Rand
}

// run reads and acknowledges until its connection ends.
func (w *worker) run(c net.Conn, got *atomic.Int64) {
	replies := bufio.NewReader(c)
	ask := func(words ...string) (string, bool) {
		if _, err := c.Write([]byte(harness.RESP(words...))); err != nil {
			return "", false
		}
		frame, err := harness.ReadFrame(replies)
		return string(frame), err == nil
	}
	for {
		reply, ok := ask("XREADGROUP", "GROUP", "g", w.name, "COUNT", "5", "BLOCK", "1000", "STREAMS", "jobs", ">")
		if !ok {
			return
		}
		acks := []string{"XACK", "jobs", "g"}
		for _, id := range pendingIDs.FindAllString(reply, -1) {
			w.got[id] = true
			got.Add(1)
			if w.random.IntN(3) > 0 {
				w.tried[id] = true
				acks = append(acks, id)
			}
		}
		if len(acks) == 3 {
			continue
		}
		if _, ok := ask(acks...); !ok {
			return
		}
		for _, id := range acks[3:] {
			w.acked[id] = true
		}
	}
}

// What a consumer has got is pending, unless it has acknowledged it: a SIGKILL under load loses neither, and no entry is skipped.
func TestAKillLosesNoPendingEntry(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	args := []string{"--dir", filepath.Join(t.TempDir(), "log"), "--fsync", "always", "--segment-size", "256KiB"}
	jobs := &appender{name: "jobs"}
	var workers []*worker
	for i := range 4 {
		workers = append(workers, &worker{
			fmt.Sprint("w", i), map[string]bool{}, map[string]bool{}, map[string]bool{}, rand.New(rand.NewPCG(seed, uint64(i+1))),
		})
	}
	for round := range 4 {
		c := start(t, "", args...)
		if round == 0 {
			require.Equal(t, "OK\n", c.cli("XGROUP", "CREATE", "jobs", "g", "0", "MKSTREAM"))
		}
		var running sync.WaitGroup
		var acked, got atomic.Int64
		sock := c.dial()
		running.Go(func() { jobs.run(sock, 1+random.IntN(10), &acked) })
		for _, w := range workers {
			sock := c.dial()
			running.Go(func() { w.run(sock, &got) })
		}
		enough := 100 + random.Int64N(500)
		harness.Eventually(t, func() bool { return got.Load() >= enough }, "entries are not delivered")
		require.NoError(t, c.cmd.Process.Kill())
		for range c.log { // until it has ended
		}
		_ = c.cmd.Wait() // it was killed
		running.Wait()
		c = start(t, "", args...)
		checkGroup(t, c, workers)
		c.stop()
	}
}

func checkGroup(t *testing.T, c *conch, workers []*worker) {
	t.Helper()
	last := pendingIDs.FindString(c.cli("XINFO", "GROUPS", "jobs"))
	owners := map[string]string{}
	for _, w := range workers {
		for _, id := range pendingIDs.FindAllString(c.cli("XPENDING", "jobs", "g", "-", "+", "10000", w.name), -1) {
			owners[id] = w.name
		}
	}
	tried := map[string]bool{}
	for _, w := range workers {
		for id := range w.got {
			require.True(t, owners[id] == w.name || w.tried[id], "%s got %s, which is not pending", w.name, id)
			require.False(t, w.acked[id] && owners[id] != "", "%s acknowledged %s, which is pending", w.name, id)
			tried[id] = tried[id] || w.tried[id]
		}
	}
	ids, _ := entries(t, c, "jobs")
	for _, id := range ids {
		if len(id) < len(last) || len(id) == len(last) && strings.Compare(id, last) <= 0 {
			require.True(t, owners[id] != "" || tried[id], "%s is neither pending nor acknowledged", id)
		}
	}
}

//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/testseed"
)

// pendingIDs are ids of entries that the server made.
var pendingIDs = regexp.MustCompile(`\b1[6-9]\d{11}-\d+`)

// worker is a consumer of the group: how often it got an entry, which it has tried to acknowledge, and which it has acknowledged.
type worker struct {
	name         string
	got          map[string]int
	tried, acked map[string]bool
	random       *rand.Rand
}

// run reads, claims, releases and acknowledges until its connection ends.
func (w *worker) run(c net.Conn, got *atomic.Int64) {
	replies := bufio.NewReader(c)
	ask := func(words ...string) (ids []string, ok bool) {
		if _, err := c.Write([]byte(harness.RESP(words...))); err != nil {
			return nil, false
		}
		frame, err := harness.ReadFrame(replies)
		if err == nil && frame[0] == '-' {
			panic(fmt.Sprintf("%s: %q: %s", w.name, words, frame))
		}
		return pendingIDs.FindAllString(string(frame), -1), err == nil
	}
	for {
		read := []string{"XREADGROUP", "GROUP", "g", w.name, "COUNT", "5", "BLOCK", "100"}
		if w.random.IntN(3) == 0 { // what others have had for long enough, or have released
			read = append(read, "CLAIM", "5")
		}
		ids, ok := ask(append(read, "STREAMS", "jobs", ">")...)
		if !ok {
			return
		}
		for _, id := range ids {
			w.got[id]++
			got.Add(1)
		}
		if len(ids) == 0 || w.random.IntN(4) == 0 {
			continue // they stay pending
		}
		if w.random.IntN(5) == 0 {
			if _, ok := ask(append([]string{"XNACK", "jobs", "g", "FAIL", "IDS", strconv.Itoa(len(ids))}, ids...)...); !ok {
				return
			}
			continue
		}
		for _, id := range ids {
			w.tried[id] = true
		}
		if _, ok := ask(append([]string{"XACK", "jobs", "g"}, ids...)...); !ok {
			return
		}
		for _, id := range ids {
			w.acked[id] = true
		}
	}
}

// Clause 9: what a consumer has got is pending until one acknowledges it, whatever was claimed and released. A SIGKILL under load loses
// neither an entry nor a delivery nor an acknowledgement, and skips nothing.
func TestAKillLosesNoPendingEntry(t *testing.T) {
	for _, fsync := range []string{"always", "1s"} {
		t.Run(fsync, func(t *testing.T) {
			seed := testseed.New()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			args := []string{"--dir", filepath.Join(t.TempDir(), "log"), "--fsync", fsync, "--segment-size", "256KiB"}
			jobs := &appender{name: "jobs"}
			var workers []*worker
			for i := range 4 {
				workers = append(workers, &worker{
					fmt.Sprint("w", i), map[string]int{}, map[string]bool{}, map[string]bool{}, rand.New(rand.NewPCG(seed, uint64(i+1))),
				})
			}
			for round := range 4 {
				c := start(t, "", args...)
				if round == 0 {
					require.Equal(t, "OK\n", c.cli("XGROUP", "CREATE", "jobs", "g", "0", "MKSTREAM"))
				} else {
					checkGroup(t, c, workers)
					checkAll(t, c, []*appender{jobs})
				}
				if round == 3 {
					c.stop()
					break
				}
				killWorkers(t, c, random, jobs, workers)
			}
		})
	}
}

// killWorkers has the group work until some hundred entries are delivered, and kills conch in the middle.
func killWorkers(t *testing.T, c *conch, random *rand.Rand, jobs *appender, workers []*worker) {
	t.Helper()
	var running sync.WaitGroup
	var acked, got atomic.Int64
	sock, batch := c.dial(), 1+random.IntN(10)
	running.Go(func() { jobs.run(sock, batch, &acked) })
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
}

// pendingEntry is a line of XPENDING: an entry and how often it was delivered.
var pendingEntry = regexp.MustCompile(`(?m)^(1[6-9]\d{11}-\d+)\n.*\n-?\d+\n(\d+)$`)

func checkGroup(t *testing.T, c *conch, workers []*worker) {
	t.Helper()
	last := pendingIDs.FindString(c.cli("XINFO", "GROUPS", "jobs"))
	deliveries := map[string]int{} // of what is pending
	for from := "-"; ; {
		page := pendingEntry.FindAllStringSubmatch(c.cli("XPENDING", "jobs", "g", from, "+", "1000"), -1)
		for _, entry := range page {
			n, err := strconv.Atoi(entry[2])
			require.NoError(t, err)
			deliveries[entry[1]] = n
		}
		if len(page) < 1000 {
			break
		}
		from = "(" + page[len(page)-1][1]
	}
	tried, got := map[string]bool{}, map[string]int{}
	for _, w := range workers {
		maps.Copy(tried, w.tried)
		for id, n := range w.got {
			got[id] += n
		}
		for id := range w.acked {
			require.NotContains(t, deliveries, id, "%s has acknowledged it", w.name)
		}
	}
	for id, n := range got {
		require.True(t, deliveries[id] > 0 || tried[id], "%s was delivered, and is not pending", id)
		require.True(t, tried[id] || deliveries[id] >= n, "%s was delivered %d times, of which %d are known", id, n, deliveries[id])
	}
	ids, _ := entries(t, c, "jobs")
	for _, id := range ids {
		if !isBefore(last, id) {
			require.True(t, deliveries[id] > 0 || tried[id], "%s is neither pending nor acknowledged", id)
		}
	}
}

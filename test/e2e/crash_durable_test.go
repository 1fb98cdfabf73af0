//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/testseed"
)

// A SIGKILL takes back no message of a durable topic that a publisher got its reply to, or a subscriber has seen. With always that holds
// for the machine as well, with 1s for the process.
func TestAKillTakesBackNoDurableMessage(t *testing.T) {
	for _, fsync := range []string{"always", "1s"} {
		t.Run(fsync, func(t *testing.T) {
			seed := testseed.New()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			args := []string{"--dir", filepath.Join(t.TempDir(), "log"), "--fsync", fsync, "--segment-size", "256KiB", "--durable", "t*"}
			before := 0
			for round := range 4 {
				c := start(t, "", args...)
				seen, acked := publishAndKill(t, c, random, round, "")
				c = start(t, "", args...)
				_, fields := entries(t, c, "t")
				var kept []string
				for _, pair := range fields[before:] {
					kept = append(kept, pair[1])
				}
				before = len(fields)
				require.GreaterOrEqual(t, len(kept), max(len(seen), acked), "messages are lost")
				assert.Equal(t, seen, kept[:len(seen)], "what was seen is kept, in that order")
				for i, message := range kept[:acked] {
					require.Equal(t, fmt.Sprintf("%d-%d", round, i), message)
				}
				c.stop()
			}
		})
	}
}

// A subscriber whose position conch keeps goes on behind a SIGKILL without a hole. What came behind the last position that was logged may
// come again.
func TestAPositionThatConchKeepsSurvivesAKill(t *testing.T) {
	seed := testseed.New()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	args := []string{"--dir", filepath.Join(t.TempDir(), "log"), "--segment-size", "256KiB", "--durable", "t*"}
	received := 0 // of all entries so far
	for round := range 5 {
		c := start(t, "", args...)
		seen, _ := publishAndKill(t, c, random, round, " FROM GROUP g")
		c = start(t, "", args...)
		_, fields := entries(t, c, "t")
		kept := make([]string, len(fields))
		for i, pair := range fields {
			kept[i] = pair[1]
		}
		first := slices.Index(kept, seen[0])
		require.GreaterOrEqual(t, first, 0)
		require.LessOrEqual(t, first, received, "entries are missing")
		require.LessOrEqual(t, first+len(seen), len(kept))
		require.Equal(t, kept[first:first+len(seen)], seen)
		received = first + len(seen)
		c.stop()
	}
}

// publishAndKill publishes numbered messages, half of them by XADD, to a subscriber, and kills conch in the middle. from is what stands
// behind the topic in its SUB.
func publishAndKill(t *testing.T, c *conch, random *rand.Rand, round int, from string) (seen []string, acked int) {
	t.Helper()
	sub, pub := c.dial(), c.dial()
	updates, replies := bufio.NewReader(sub), bufio.NewReader(pub)
	_, err := sub.Write([]byte("SUB t" + from + "\n"))
	require.NoError(t, err)
	line, err := updates.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "OK SUB t\n", line)
	var running sync.WaitGroup
	var count atomic.Int64
	running.Go(func() {
		for {
			line, err := updates.ReadString('\n')
			if err != nil {
				return
			}
			seen = append(seen, strings.TrimSuffix(strings.TrimPrefix(line, "UPDATE t "), "\n"))
			count.Add(1)
		}
	})
	batch := 1 + random.IntN(40)
	running.Go(func() {
		for sent := 0; ; {
			var text strings.Builder
			for range batch {
				message := strconv.Itoa(round) + "-" + strconv.Itoa(sent)
				if sent++; sent/8%2 == 0 {
					text.WriteString(harness.RESP("PUBLISH", "t", message))
				} else {
					text.WriteString(harness.RESP("XADD", "t", "*", "message", message))
				}
			}
			if _, err := pub.Write([]byte(text.String())); err != nil {
				return
			}
			for range batch {
				if _, err := harness.ReadFrame(replies); err != nil {
					return
				}
				acked++
			}
		}
	})
	enough := 200 + random.Int64N(2000)
	harness.Eventually(t, func() bool { return count.Load() >= enough }, "messages are not delivered")
	require.NoError(t, c.cmd.Process.Kill())
	for range c.log { // until it has ended
	}
	_ = c.cmd.Wait() // it was killed
	running.Wait()
	return seen, acked
}

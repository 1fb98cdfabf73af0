//go:build e2e

package e2e

import (
	"fmt"
	"math/rand"
	"net"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/require"
)

func TestConchAnswersStreamsAsRedis(t *testing.T) {
	for where, args := range map[string][]string{"memory": nil, "disk": {"--dir", t.TempDir(), "--fsync", "always"}} {
		t.Run(where, func(t *testing.T) {
			c := start(t, "", args...)
			reference, subject := startRedis(t), newServer(t, net.JoinHostPort(c.host, c.port))
			reference.keys, subject.keys = true, true
			compareAtRandom(t, reference, subject, streamFamilies, composeStreams)
			c.stop()
		})
	}
}

func TestConchAnswersGroupsAsRedis(t *testing.T) {
	c := start(t, "", "--dir", t.TempDir())
	reference, subject := startRedis(t), newServer(t, net.JoinHostPort(c.host, c.port))
	reference.keys, subject.keys = true, true
	compareAtRandom(t, reference, subject, append(slices.Clone(streamFamilies), groupFamilies...), composeStreams)
	c.stop()
}

// Random commands leave a state behind that is the same after a restart, by SIGTERM and by SIGKILL.
func TestStreamsOverRestarts(t *testing.T) {
	seed := *diffSeed
	if seed == 0 {
		seed = int64(testseed.New())
	}
	t.Logf("-diff.seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	args := []string{"--dir", t.TempDir(), "--fsync", "always", "--segment-size", "1MiB"}
	c := start(t, "", args...)
	families := append(slices.Clone(streamFamilies), family{"idempotent", 12, one(idempotent), true, false, false})
	families = append(families, groupFamilies...)
	families = slices.DeleteFunc(families, func(f family) bool { return f.name == "flush" })
	const lives = 12
	for life := range lives {
		s := newServer(t, net.JoinHostPort(c.host, c.port))
		sc := s.open(5)
		for range 4 {
			for _, step := range compose(random, families).steps {
				if step.conn < len(sc.conns) && step.waker < len(sc.conns) {
					sc.do(step)
				}
			}
		}
		before := s.state()
		sc.close()
		s.control.close()
		if life%2 == 0 {
			c.stop()
		} else {
			require.NoError(t, c.cmd.Process.Signal(syscall.SIGKILL))
			for range c.log { // until it has ended
			}
			_ = c.cmd.Wait() // it was killed
		}
		c = start(t, "", args...)
		s = newServer(t, net.JoinHostPort(c.host, c.port))
		require.Equal(t, before, s.state(), "after life %d", life)
		s.control.close()
	}
	c.stop()
}

var seenTime = regexp.MustCompile(`(seen-time\r\n):\d+`)

// state is all that a server tells of its keys.
func (s *server) state() (all []string) {
	all = append(all, s.control.ask("DBSIZE"))
	for _, key := range allStreamKeys() {
		full := seenTime.ReplaceAllString(s.control.ask("XINFO", "STREAM", key, "FULL", "COUNT", "0"), "$1") // a read without effect leaves no record
		all = append(all, fmt.Sprintf("%q", key), full, s.control.ask("PEXPIRETIME", key))
	}
	return all
}

// idempotent appends under one of a few ids, or changes how many are remembered.
func idempotent(g *generator) []string {
	switch g.Intn(8) {
	case 0:
		return []string{"XCFGSET", autoKey, pick(g, "IDMP-MAXSIZE", "IDMP-DURATION"), pick(g, "100", "1000")}
	case 1, 2:
		return append([]string{"XADD", autoKey, "IDMPAUTO", pick(g, "p", "q"), "*"}, g.fields()...)
	}
	return append([]string{"XADD", autoKey, "IDMP", pick(g, "p", "q", "r"), pick(g, "1", "2", "3", "4", "5"), "*"}, g.fields()...)
}

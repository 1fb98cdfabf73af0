package server_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// The messages for all names of one command come in the one order, also if the command comes in pieces: those of the past, and those that
// are published while its names are subscribed to.
func TestTheNamesOfOneCommandKeepTheOrder(t *testing.T) {
	const names, messages = 3500, 6000
	for _, from := range []int{1, messages / 2, messages + 1} {
		t.Run(fmt.Sprint("from ", from), func(t *testing.T) {
			s := harness.Start(t, server.Options{Recent: 64 << 20, SlowHard: 1 << 30, SlowSoft: 1 << 30})
			pub := s.Dial(t)
			rng := rand.New(rand.NewPCG(1, uint64(from))) //nolint:gosec // a count
			publish := func() {
				batch := ""
				for range 100 {
					batch += harness.RESP("PUBLISH", fmt.Sprint("t", rng.IntN(names)), strings.Repeat("x", 100))
				}
				pub.Send("%s", batch)
				for range 100 {
					pub.Line()
				}
			}
			for range messages / 100 {
				publish()
			}
			args := []string{"PSUBSCRIBE"}
			for n := range names {
				args = append(args, fmt.Sprintf("t%d FROM #%d", n, from))
			}
			sub := s.Dial(t)
			sub.Command("HELLO", "3")
			sub.Command("CLIENT", "CAPA", "seq")
			sub.Command(args...)
			var publishing sync.WaitGroup
			publishing.Go(func() {
				for range messages / 100 {
					publish()
				}
			})
			for next := from; next <= 2*messages; {
				m, _, _, other := readPublished(t, sub, true)
				require.NotContains(t, other, "missed")
				if other != "" {
					continue
				}
				require.Equal(t, next, m.seq)
				next++
			}
			publishing.Wait()
			assert.Zero(t, s.Info(t, "messages_dropped"))
		})
	}
}

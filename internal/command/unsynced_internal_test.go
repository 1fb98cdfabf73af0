package command

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/broker"
)

// countingStore counts what is appended as unsynced, until a test says otherwise.
type countingStore struct {
	*testStore
	most atomic.Int64
}

func (s *countingStore) Append(changes []byte) uint64 {
	s.most.Store(max(s.most.Load(), s.unsynced.Add(int64(len(changes)))))
	return s.testStore.Append(changes)
}

// However many connections append at once, what waits for its sync is bounded by unsynced, and what the inbox and a few readers have.
func TestUnsyncedIsBounded(t *testing.T) {
	const inbox, most = 128, 1 << 20
	for name, test := range map[string]struct {
		text         string
		conns, entry int
		ahead        int // of the core: entries that come in addition
	}{
		"XADD":    {"XADD s * a %s\r\n", 1000, 16 << 10, 2 * (inbox + maxEntering + 1)},
		"PUBLISH": {"PUBLISH durable %s\r\n", 1000, 16 << 10, 2 * (inbox + maxEntering + 1)},
		// Large ones count as unsynced while they are in the inbox.
		"large XADD": {"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\na\r\n$262144\r\n%s\r\n", 100, 256 << 10, maxEntering + 1},
	} {
		t.Run(name, func(t *testing.T) {
			conns, entry, text := test.conns, test.entry, test.text
			synctest.Test(t, func(t *testing.T) {
				store := &countingStore{testStore: newTestStore()}
				s := newService(t, Options{Unprotected: true, Store: store, Unsynced: most, Log: zerolog.Nop()})
				pipes := servePipesOf(t, s, conns)
				assert.Equal(t, "+OK", pipes[0].do("CONFIG SET durable durable"))
				release := make(chan struct{})
				go s.runOnCore(func(broker.View) { <-release })
				synctest.Wait()
				for _, p := range pipes {
					go p.sends(fmt.Sprintf(text, strings.Repeat("x", entry)))
				}
				synctest.Wait() // all readers have looked at the log
				close(release)
				synctest.Wait()
				assert.Greater(t, store.unsynced.Load(), int64(most))
				assert.Less(t, store.most.Load(), int64(most+test.ahead*entry))
				for replies := 0; replies < conns; {
					store.unsynced.Store(0)
					s.Synced(0, 0, nil)
					synctest.Wait()
					replies = store.state.Entries()
				}
				assert.Less(t, store.most.Load(), int64(most+test.ahead*entry))
				for _, p := range pipes {
					p.reply()
				}
			})
		})
	}
}

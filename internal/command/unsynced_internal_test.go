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
	const conns, entry, inbox, most = 1000, 16 << 10, 128, 1 << 20
	for name, text := range map[string]string{"XADD": "XADD s * a %s\r\n", "PUBLISH": "PUBLISH durable %s\r\n"} {
		t.Run(name, func(t *testing.T) {
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
				assert.Less(t, store.most.Load(), int64(most+(inbox+maxEntering+1)*2*entry))
				for replies := 0; replies < conns; {
					store.unsynced.Store(0)
					s.Synced(0, 0, nil)
					synctest.Wait()
					replies = store.state.Entries()
				}
				assert.Less(t, store.most.Load(), int64(most+(inbox+maxEntering+1)*2*entry))
				for _, p := range pipes {
					p.reply()
				}
			})
		})
	}
}

package command

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Of a hundred writers that append behind the same entry, exactly one does so. The others learn of its id.
func TestOneOfManyWritersAppendsBehindTheLastEntry(t *testing.T) {
	const writers, rounds = 100, 5
	_, pipes := newStreams(t, newTestStore(), writers)
	last, replies := "0-0", make([]string, writers)
	for round := range rounds {
		var writing sync.WaitGroup
		for i, p := range pipes {
			writing.Go(func() { replies[i] = p.do("XADD s IF-LAST %s * writer %d", last, i) })
		}
		writing.Wait()
		var won []string
		for _, reply := range replies {
			if !strings.HasPrefix(reply, "-") {
				won = append(won, reply)
			}
		}
		require.Len(t, won, 1, "round %d: %q", round, replies)
		for _, reply := range replies {
			if reply != won[0] {
				assert.Equal(t, fmt.Sprintf("-LASTID %s is the last id, not %s", won[0], last), reply)
			}
		}
		last = won[0]
	}
	assert.Equal(t, fmt.Sprint(":", rounds), pipes[0].do("XLEN s"))
}

// A writer that another one has replaced appends nothing more, whatever it has in flight.
func TestAFencedWriterAppendsNothing(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 2)
	older, newer := pipes[0], pipes[1]
	assert.Equal(t, ":1", older.do("XFENCE s 1"))
	sent := older.sendsAll(strings.Repeat("XADD s FENCE 1 * writer older\r\n", 200))
	assert.Equal(t, ":2", newer.do("XFENCE s 2"))
	end := newer.do("XREVRANGE s + - COUNT 1")
	appended := 0
	for range 200 {
		if reply := older.reply(); strings.HasPrefix(reply, "-") {
			require.Equal(t, "-FENCED 2 is the token of the stream, 1 is below it", reply)
		} else {
			appended++
		}
	}
	<-sent
	assert.Equal(t, fmt.Sprint(":", appended), newer.do("XLEN s"))
	assert.Equal(t, end, newer.do("XREVRANGE s + - COUNT 1"), "nothing comes behind what the newer writer has read")
	assert.Equal(t, "-FENCED 2 is the token of the stream, 1 is below it", older.do("XFENCE s 1"))
}

// A fence makes a stream: it needs room for it.
func TestAFenceNeedsRoom(t *testing.T) {
	store := newTestStore()
	store.full.Store(true)
	_, pipes := newStreams(t, store, 1)
	assert.Equal(t, "-OOM command not allowed when used memory > 'maxmemory'.", pipes[0].do("XFENCE s 1"))
	assert.Equal(t, ":0", pipes[0].do("XFENCE s"))
}

package command

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/outbox"
)

// largeCommand is a command with a last argument of so many bytes.
func largeCommand(size int, words ...string) string {
	text := fmt.Sprintf("*%d\r\n", len(words)+1)
	for _, word := range words {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	return text + fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("x", size))
}

// Many connections send large commands at once, more than max-memory can hold: each gets its turn, and none is evicted.
func TestLargeCommandsTakeTurns(t *testing.T) {
	const conns, size, limit = 32, 512 << 10, 8 << 20
	for name, test := range map[string]struct {
		text    string
		replies int
	}{
		"XADD":           {strings.Repeat(largeCommand(size, "XADD", "s", "*", "f"), 3), 3},
		"PUBLISH":        {strings.Repeat(largeCommand(size, "PUBLISH", "t"), 3), 3},
		"a transaction":  {"MULTI\r\n" + strings.Repeat(largeCommand(size/4, "XADD", "s", "*", "f"), 4) + "EXEC\r\n", 6},
		"a short buffer": {strings.Repeat(largeCommand(100<<10, "XADD", "s", "*", "f"), 3), 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, Options{Unprotected: true, MaxMemory: limit, Store: newTestStore(), Unsynced: 1 << 30, Log: zerolog.Nop()})
				pipes := servePipesOf(t, s, conns)
				for _, p := range pipes {
					p.sendsAll(test.text)
				}
				for _, p := range pipes {
					for range test.replies {
						require.NotEqual(t, '-', p.reply()[0])
					}
				}
				synctest.Wait()
				assert.Zero(t, s.Counts.Closes[CloseReasonMaxMemory].Load())
				assert.Empty(t, s.largeGate.held, "all have left the gate")
				assert.Zero(t, s.largeAppends.Load())
			})
		})
	}
}

// Clients that stop in the middle of a large command, or of a transaction, hold others up for a moment only.
func TestSlowClientsKeepNoTurn(t *testing.T) {
	const size, limit = 1 << 20, 16 << 20
	large := largeCommand(size, "PUBLISH", "t")
	for name, text := range map[string]string{"commands": large[:size/2], "transactions": "MULTI\r\n" + large} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, Options{Unprotected: true, MaxMemory: limit, Log: zerolog.Nop()})
				pipes := servePipesOf(t, s, maxInGate+2)
				s.memory.Charge(limit/gatePart + 1)
				for _, p := range pipes[2:] {
					<-p.sendsAll(text)
					if name == "transactions" {
						require.Equal(t, "+OK", p.reply())
						require.Equal(t, "+QUEUED", p.reply())
					}
				}
				synctest.Wait()
				require.Len(t, s.largeGate.held, maxInGate)
				start, took := time.Now(), make(chan time.Duration)
				for _, p := range pipes[:2] {
					p.sendsAll(large)
					go func() {
						assert.Equal(t, ":0", p.reply())
						took <- time.Since(start)
					}()
				}
				assert.Equal(t, gatePatience, <-took)
				assert.Equal(t, 2*gatePatience, <-took, "one more passes at a time")
				_ = pipes[2].sock.Close()
				synctest.Wait()
				assert.Len(t, s.largeGate.held, maxInGate-1, "a connection that ends leaves the gate")
				start = time.Now()
				pipes[0].sendsAll(large)
				require.Equal(t, ":0", pipes[0].reply())
				assert.Zero(t, time.Since(start))
				s.memory.Charge(-limit/gatePart - 1)
			})
		})
	}
}

// A large command has a buffer of its own size, once some of it has arrived; what is announced alone takes nothing.
func TestALargeCommandTakesItsSize(t *testing.T) {
	const size = 5 << 20
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, Options{Unprotected: true, Log: zerolog.Nop()})
		p := serveOn(t, s)
		text := largeCommand(size, "PUBLISH", "t")
		sent := 0
		for _, step := range []struct{ until, most int }{{100, outbox.MediumBuffers.BufferSize}, {100_000, 6 * 100_000}, {len(text) - 1, size + outbox.MediumBuffers.BufferSize}} {
			<-p.sendsAll(text[sent:step.until])
			sent = step.until
			synctest.Wait()
			assert.LessOrEqual(t, p.usage.reading.Load(), int64(step.most), "%d bytes have arrived", sent)
		}
		p.sendsAll(text[sent:])
		assert.Equal(t, ":0", p.reply())
	})
}

// A large command of many arguments is copied a few times while it arrives, not once for each of them.
func TestManyArgumentsAreCopiedAFewTimes(t *testing.T) {
	const arguments, size = 400, 10 << 10
	s := newService(t, Options{Unprotected: true, Log: zerolog.Nop()})
	p := serveOn(t, s)
	text := fmt.Sprintf("*%d\r\n$6\r\nEXISTS\r\n%s", arguments+1, strings.Repeat(fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("x", size)), arguments))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p.sendsAll(text)
	p.reply()
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(10*len(text)))
}

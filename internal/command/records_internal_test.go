package command

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// The records of whatever is sent, applied to a second instance, give the same state: that is what a restart and a replica do.
func TestRecordsGiveTheSameState(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			store, random := newTestStore(), rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test
			s, pipes := newStreams(t, store, 2)
			for range 300 {
				p := pipes[random.IntN(2)]
				commands := []string{randomCommand(random)}
				if random.IntN(6) == 0 {
					commands = []string{"MULTI", randomCommand(random), randomCommand(random), randomCommand(random), "EXEC"}
				}
				text := ""
				for _, c := range commands {
					text += c + "\r\n"
				}
				sent := p.sendsAll(text)
				for range commands {
					p.reply()
				}
				<-sent
				if random.IntN(10) == 0 {
					store.ms.Add(random.Int64N(2000))
					s.Tick()
				}
			}
			again, digest := stream.New(), [32]byte{}
			for i, r := range store.all() {
				require.NoError(t, again.ApplyRecord(r), "record %d", i)
			}
			s.RunOnCore(func(broker.View) { digest = s.streams.state.Digest() })
			assert.Equal(t, digest, again.Digest())
			assert.NotEqual(t, digest, stream.New().Digest())
		})
	}
}

// randomCommand is one that changes streams, or is refused.
func randomCommand(random *rand.Rand) string {
	key, n := string(rune('a'+random.IntN(4))), random.IntN(50)
	if random.IntN(3) == 0 {
		return randomGroupCommand(random, key, n)
	}
	switch random.IntN(18) {
	case 0:
		return fmt.Sprintf("XADD %s MAXLEN %d * f %d", key, n, n)
	case 1:
		return fmt.Sprintf("XADD %s MINID ~ %d LIMIT 5 * f %d", key, 1000+40*n, n)
	case 2:
		return fmt.Sprintf("XADD %s IDMP p %d * f %d", key, n%7, n)
	case 3:
		return fmt.Sprintf("XADD %s IDMPAUTO p * f %d g %d", key, n%3, n%2)
	case 4:
		return fmt.Sprintf("XDEL %s 1000-%d 1000-%d 1000-%d", key, n, n+1, n%3)
	case 5:
		return fmt.Sprintf("XTRIM %s MAXLEN %d", key, n)
	case 6:
		return fmt.Sprintf("DEL %s z", key)
	case 7:
		return fmt.Sprintf("PEXPIRE %s %d", key, 1+100*n)
	case 8:
		return fmt.Sprintf("XSETID %s %d-0 ENTRIESADDED %d", key, 900+10*n, n)
	case 9:
		return fmt.Sprintf("XCFGSET %s IDMP-MAXSIZE %d", key, 1+n)
	case 10:
		if n < 3 {
			return "FLUSHALL"
		}
		return "PERSIST " + key
	case 11:
		return fmt.Sprintf("XADD %s %d-%d f v", key, 990+n, n)
	case 12:
		return fmt.Sprintf("XFENCE %s %d", key, n)
	case 13:
		return fmt.Sprintf("XADD %s IF-LAST 1000-%d FENCE %d * f v", key, n%5, n)
	case 14:
		return fmt.Sprintf("XRANGE %s - + COUNT 3", key)
	}
	return fmt.Sprintf("XADD %s * f %d", key, n)
}

// randomGroupCommand is one of a group of the stream, if it has that.
func randomGroupCommand(random *rand.Rand, key string, n int) string {
	group, consumer := string(rune('g'+random.IntN(2))), string(rune('c'+random.IntN(3)))
	switch random.IntN(14) {
	case 0, 1:
		return fmt.Sprintf("XGROUP CREATE %s %s 0 MKSTREAM", key, group)
	case 2:
		if n < 5 {
			return fmt.Sprintf("XGROUP DESTROY %s %s", key, group)
		}
		return fmt.Sprintf("XGROUP SETID %s %s 1000-%d", key, group, n)
	case 3:
		return fmt.Sprintf("XGROUP DELCONSUMER %s %s %s", key, group, consumer)
	case 4:
		return fmt.Sprintf("XACK %s %s 1000-%d 1000-%d 1000-%d", key, group, n, n%7, n%3)
	case 5:
		return fmt.Sprintf("XCLAIM %s %s %s %d 1000-%d 1000-%d FORCE", key, group, consumer, n%3, n, n%5)
	case 6:
		return fmt.Sprintf("XAUTOCLAIM %s %s %s %d 1000-%d COUNT 3", key, group, consumer, n%3, n%9)
	case 7:
		return fmt.Sprintf("XREADGROUP GROUP %s %s COUNT 3 CLAIM %d STREAMS %s >", group, consumer, n, key)
	case 8:
		return fmt.Sprintf("XREADGROUP GROUP %s %s COUNT 4 STREAMS %s 0", group, consumer, key)
	case 9:
		return fmt.Sprintf("XNACK %s %s FAIL IDS 2 1000-%d 1000-%d", key, group, n, n%4)
	case 10:
		return fmt.Sprintf("XACKDEL %s %s ACKED IDS 2 1000-%d 1000-%d", key, group, n, n%4)
	case 11:
		return fmt.Sprintf("XDELEX %s DELREF IDS 2 1000-%d 1000-%d", key, n, n%4)
	case 12:
		return fmt.Sprintf("XADD %s ACKED MAXLEN %d * f v", key, n)
	}
	return fmt.Sprintf("XREADGROUP GROUP %s %s COUNT 2 STREAMS %s >", group, consumer, key)
}

// A pipelined XADD takes no memory of the heap for itself: what it costs is that of its batch.
func TestAnAppendAllocatesNothing(t *testing.T) {
	const batch = 50
	store := newTestStore()
	s, pipes := newStreams(t, store, 1)
	e := &pipes[0].executor
	args := [][]byte{[]byte("XADD"), []byte("s"), []byte("*"), []byte("f"), make([]byte, 100)}
	inv := &invocation{handler: handlers["xadd"], row: protocol.Lookup([]byte("xadd")), args: args}
	request := &broker.Request{Tag: inv}
	allocated := 0.0
	s.runOnCore(func(v broker.View) {
		e.replyMode.off = true
		allocated = testing.AllocsPerRun(100, func() {
			for range batch {
				e.Reply(request, v)
			}
			e.Flush()
		})
	})
	assert.Less(t, allocated, batch/4.0)
}

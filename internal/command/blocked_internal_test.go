package command

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

func TestABlockedReadGetsTheNextEntry(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 3)
	p, writer, second := pipes[0], pipes[1], pipes[2]
	sent := p.sendsAll("XREAD BLOCK 0 STREAMS s t $ 0\r\nPING behind\r\n")
	awaitBlocked(t, s, 1)
	<-sent
	assert.Contains(t, writer.do("INFO clients"), "blocked_clients:1")
	assert.Contains(t, writer.do("CLIENT LIST"), "flags=b")
	second.sends("XREAD COUNT 1 BLOCK 0 STREAMS s 5\r\n")
	awaitBlocked(t, s, 2)
	assert.Equal(t, "4-0", writer.do("XADD s 4-0 a 1"))
	assert.Equal(t, "[[s [[4-0 [a 1]]]]]", p.reply())
	assert.Equal(t, "behind", p.reply(), "what the client sent behind it waits as well")
	awaitBlocked(t, s, 1)
	assert.Equal(t, "6-0", writer.do("XADD s 6-0 a 2"))
	assert.Equal(t, "[[s [[6-0 [a 2]]]]]", second.reply())
	awaitBlocked(t, s, 0)
	assert.Empty(t, s.streams.blocked.keys)
}

// A transaction wakes the clients at its end, with all that it has left.
func TestATransactionWakesAtItsEnd(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 4)
	p, one, three, writer := pipes[0], pipes[1], pipes[2], pipes[3]
	p.sends("XREAD BLOCK 0 STREAMS s t 0 0\r\n")
	one.sends("XREAD COUNT 1 BLOCK 0 STREAMS s 0\r\n")
	three.do("HELLO 3")
	three.sends("XREAD BLOCK 0 STREAMS s 1-0\r\n")
	awaitBlocked(t, s, 3)
	sent := writer.sendsAll("MULTI\r\nXADD s 1-0 a 1\r\nXADD s 2-0 a 2\r\nXADD t 1-0 b 1\r\nXADD gone MAXLEN 0 1-0 a 1\r\nXREAD BLOCK 0 STREAMS no $\r\nEXEC\r\n")
	for range 6 {
		writer.reply()
	}
	<-sent
	assert.Equal(t, "[1-0 2-0 1-0 1-0 null array]", writer.reply(), "a transaction does not wait")
	assert.Equal(t, "[[s [[1-0 [a 1]] [2-0 [a 2]]]] [t [[1-0 [b 1]]]]]", p.reply())
	assert.Equal(t, "[[s [[1-0 [a 1]]]]]", one.reply())
	assert.Equal(t, "{s [[2-0 [a 2]]]}", three.reply())
}

// An entry that is gone again when its command ends was never there.
func TestAnEntryThatIsGoneWakesNoClient(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 2)
	p, writer := pipes[0], pipes[1]
	p.sends("XREAD BLOCK 0 STREAMS s 0\r\n")
	awaitBlocked(t, s, 1)
	assert.Equal(t, "1-0", writer.do("XADD s MAXLEN 0 1-0 a 1"))
	awaitBlocked(t, s, 1)
	assert.Equal(t, "2-0", writer.do("XADD s 2-0 a 1"))
	assert.Equal(t, "[[s [[2-0 [a 1]]]]]", p.reply())
}

func TestABlockedReadEndsInTime(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, 3)
	p, second, other := pipes[0], pipes[1], pipes[2]
	second.do("HELLO 3")
	p.sends("XREAD BLOCK 500 STREAMS s $\r\n")
	awaitBlocked(t, s, 1)
	assert.EqualValues(t, 1500, store.deadline.Load())
	second.sends("XREAD BLOCK 100 STREAMS s $\r\n")
	awaitBlocked(t, s, 2)
	assert.EqualValues(t, 1100, store.deadline.Load())
	store.ms.Store(1099)
	store.deadline.Store(0)
	s.Tick()
	awaitBlocked(t, s, 2)
	assert.EqualValues(t, 1100, store.deadline.Load(), "a tick that comes early is not the last")
	store.ms.Store(1100)
	s.Tick()
	assert.Equal(t, "_", second.reply())
	assert.EqualValues(t, 1500, store.deadline.Load())
	store.ms.Store(2000)
	store.deadline.Store(0) // a deadline is over once it has ticked
	s.Tick()
	assert.Equal(t, "null array", p.reply())
	assert.Zero(t, store.deadline.Load(), "an idle server needs no clock")
	assert.Equal(t, "+PONG", p.do("PING"))
	assert.Equal(t, "-ERR timeout is negative", other.do("XREAD BLOCK -1 STREAMS s $"))
}

func TestClientUnblock(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 2)
	p, other := pipes[0], pipes[1]
	id := strings.TrimPrefix(p.do("CLIENT ID"), ":")
	for _, step := range [][2]string{
		{"CLIENT UNBLOCK " + id, "null array"},
		{"CLIENT UNBLOCK " + id + " timeout", "null array"},
		{"CLIENT UNBLOCK " + id + " error", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"},
	} {
		p.sends("XREAD BLOCK 0 STREAMS s $\r\n")
		awaitBlocked(t, s, 1)
		assert.Equal(t, ":1", other.do("%s", step[0]))
		assert.Equal(t, step[1], p.reply())
	}
	assert.Equal(t, ":0", other.do("CLIENT UNBLOCK %s", id))
	assert.Equal(t, ":0", other.do("CLIENT UNBLOCK 12345"))
	assert.Equal(t, "-ERR value is not an integer or out of range", other.do("CLIENT UNBLOCK x"))
	assert.Equal(t, "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR", other.do("CLIENT UNBLOCK 1 x"))
}

func TestABlockedClientMayEnd(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 4)
	other := pipes[3]
	ends := []func(p *pipe){
		func(p *pipe) { _ = p.sock.Close() },
		func(p *pipe) { other.do("CLIENT KILL ID %d", p.id) },
		func(p *pipe) { p.submitEvict(CloseReasonMaxMemory) },
	}
	for i, end := range ends {
		pipes[i].sends("XREAD BLOCK 0 STREAMS s t $ $\r\n")
		awaitBlocked(t, s, 1)
		end(pipes[i])
		awaitBlocked(t, s, 0)
		assert.Equal(t, fmt.Sprintf("%d-0", i+1), other.do("XADD s %d-0 a 1", i+1))
	}
	assert.Empty(t, s.streams.blocked.keys)
}

// A wake-up of very many clients encodes once: all of them share the bytes.
func TestManyClientsShareOneReply(t *testing.T) {
	const n = 200
	s, pipes := newStreams(t, newTestStore(), n+1)
	for _, p := range pipes[:n] {
		p.sends("XREAD BLOCK 0 STREAMS s $\r\n")
	}
	awaitBlocked(t, s, n)
	text := strings.Repeat("x", 20_000)
	require.Equal(t, "1-0", pipes[n].do("XADD s 1-0 a %s", text))
	eventually(t, func() bool { return pipes[n-1].outbox.WaitingBytes() > 0 }, "all have their reply")
	assert.Less(t, s.memory.Used(), int64(n*len(text)/4))
	for _, p := range pipes[:n] {
		require.Equal(t, "[[s [[1-0 [a "+text+"]]]]]", p.reply())
	}
	awaitBlocked(t, s, 0)
}

func TestWatch(t *testing.T) {
	store := newTestStore()
	_, pipes := newStreams(t, store, 2)
	p, other := pipes[0], pipes[1]
	exec := func() string {
		t.Helper()
		p.do("MULTI")
		p.do("XADD mine * a 1")
		return p.do("EXEC")
	}
	assert.Equal(t, "+OK", p.do("WATCH s t s"))
	assert.NotEqual(t, "null array", exec())
	p.do("WATCH s")
	other.do("XADD s * a 1")
	assert.Equal(t, "null array", exec())
	assert.NotEqual(t, "null array", exec(), "EXEC ends the watch")
	p.do("WATCH s")
	other.do("XADD t * a 1")
	assert.NotEqual(t, "null array", exec(), "another key has changed")
	for _, end := range []string{"UNWATCH", "DISCARD", "RESET"} {
		p.do("WATCH s")
		if end == "DISCARD" {
			p.do("MULTI")
		}
		p.do("%s", end)
		other.do("XADD s * a 1")
		assert.NotEqual(t, "null array", exec(), end)
	}
	p.do("MULTI")
	assert.Equal(t, "-ERR WATCH inside MULTI is not allowed", p.do("WATCH s"))
	assert.Equal(t, "+QUEUED", p.do("UNWATCH"))
	assert.Equal(t, "[+OK]", p.do("EXEC"))
	assert.Zero(t, p.usesStreams().usage.watched.Load())
}

// A command may wait for the disk, whatever the policy.
func TestACommandWaitsForTheDisk(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, 3)
	waits := handlers["dbsize"]
	handlerByIndex[protocol.Lookup([]byte("dbsize")).Index()] = &handler{
		keys: usesRead, mayBlock: func([][]byte) bool { return true },
		reply: func(w *response) {
			x := &w.executor.service.streams
			w.awaitSync(x.newest(), 100, func(w *response) { w.integer(int64(x.synced.Load())) })
		},
	}
	defer func() { handlerByIndex[protocol.Lookup([]byte("dbsize")).Index()] = waits }()
	pipes[2].do("XADD s * a 1")
	pipes[2].do("XADD s * a 1")
	pipes[0].sends("DBSIZE\r\n")
	awaitBlocked(t, s, 1)
	s.Synced(2, 1, nil)
	awaitBlocked(t, s, 1)
	pipes[2].do("XADD s * a 1")
	pipes[1].sends("DBSIZE\r\n")
	awaitBlocked(t, s, 2)
	s.Synced(3, 2, nil)
	assert.Equal(t, ":2", pipes[0].reply())
	store.ms.Add(100)
	s.Tick()
	assert.Equal(t, ":2", pipes[1].reply(), "the time is up")
	assert.Empty(t, s.streams.blocked.syncing)
}

// A client may wait for one stream many times. It is looked at once, and its reply is in memory in small part only.
func TestAClientThatWaitsManyTimes(t *testing.T) {
	const times = 1000
	s, pipes := newStreams(t, newTestStore(), 3)
	writer, early, late := pipes[0], pipes[1], pipes[2]
	for _, c := range []struct {
		p     *pipe
		after string
	}{{early, "$"}, {late, "5-0"}} {
		c.p.sends("XREAD BLOCK 0 STREAMS" + strings.Repeat(" s", times) + strings.Repeat(" "+c.after, times) + "\r\n")
	}
	awaitBlocked(t, s, 2)
	assert.Equal(t, "1-0", writer.do("XADD s 1-0 n %s", strings.Repeat("x", 10_000)))
	s.runOnCore(func(broker.View) { assert.Less(t, cap(s.streams.blocked.serving), 10) })
	eventually(t, func() bool { return early.outbox.FilledBytes() > maxFilled }, "the filler is ahead")
	assert.Less(t, early.outbox.FilledBytes(), int64(2*maxFilled))
	assert.Equal(t, times, strings.Count(early.reply(), "[s [[1-0 [n x"))
	awaitBlocked(t, s, 1)
	assert.Equal(t, "5-1", writer.do("XADD s 5-1 n 2"))
	assert.Equal(t, times, strings.Count(late.reply(), "[s [[5-1 [n 2]]]]"))
}

// The core encodes a large entry once. Clients to which its bytes do not fit read it beside the core.
func TestALargeEntryIsEncodedOnce(t *testing.T) {
	store := newTestStore()
	store.gate = make(chan struct{})
	store.onDisk.Store(true)
	s, pipes := newStreams(t, store, 5)
	writer := pipes[0]
	for i, p := range pipes[1:] {
		if i%2 == 1 {
			p.do("HELLO 3 SETNAME x")
		}
		p.sends("XREAD BLOCK 0 STREAMS s $\r\n")
		awaitBlocked(t, s, i+1)
	}
	text := strings.Repeat("x", 10_000)
	assert.Equal(t, "1-0", writer.do("XADD s 1-0 n %s", text))
	for _, p := range []*pipe{pipes[1], pipes[3]} {
		assert.Equal(t, "[[s [[1-0 [n "+text+"]]]]]", p.reply())
	}
	assert.Equal(t, "+PONG", writer.do("PING"))
	close(store.gate)
	for _, p := range []*pipe{pipes[2], pipes[4]} {
		assert.Equal(t, "{s [[1-0 [n "+text+"]]]}", p.reply())
	}
}

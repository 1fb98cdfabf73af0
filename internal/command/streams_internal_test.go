package command

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// newStreams makes a service with a store, and some connections.
func newStreams(t testing.TB, store *testStore, n int) (*Service, []*pipe) {
	s := newService(t, Options{Unprotected: true, Store: store, Log: zerolog.New(zerolog.NewTestWriter(t))})
	return s, servePipesOf(t, s, n)
}

// reply reads one reply of RESP, and shows it in one line.
func (p *pipe) reply() string {
	p.t.Helper()
	line := p.line()
	if line == "" {
		require.Fail(p.t, "an empty line")
	}
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '$':
		if n < 0 {
			return "null"
		}
		text := make([]byte, n+2)
		_, err := io.ReadFull(p.from, text)
		require.NoError(p.t, err)
		return string(text[:n])
	case '*', '%':
		if n < 0 {
			return "null array"
		}
		if line[0] == '%' {
			n *= 2
		}
		items := make([]string, n)
		for i := range items {
			items[i] = p.reply()
		}
		if line[0] == '%' {
			return "{" + strings.Join(items, " ") + "}"
		}
		return "[" + strings.Join(items, " ") + "]"
	}
	return line
}

// do sends a command, and returns its reply.
func (p *pipe) do(format string, args ...any) string {
	p.t.Helper()
	p.sends(fmt.Sprintf(format, args...) + "\r\n")
	return p.reply()
}

// sendsAll sends without waiting until it is read.
func (p *pipe) sendsAll(text string) (sent chan struct{}) {
	sent = make(chan struct{})
	go func() { defer close(sent); _, _ = io.WriteString(p.sock, text) }()
	return sent
}

func TestXAddAndXRange(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 1)
	p := pipes[0]
	for _, step := range [][2]string{
		{"XRANGE s - +", "[]"},
		{"XADD s * a 1", "1000-0"},
		{"XADD s * a 2 b 3", "1000-1"},
		{"XADD s 5-0 a 2", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"},
		{"XADD s NOMKSTREAM 1001-* a 4", "1001-0"},
		{"XADD no NOMKSTREAM * a 4", "null"},
		{"XRANGE s - +", "[[1000-0 [a 1]] [1000-1 [a 2 b 3]] [1001-0 [a 4]]]"},
		{"XRANGE s - + COUNT 2", "[[1000-0 [a 1]] [1000-1 [a 2 b 3]]]"},
		{"XRANGE s (1000-0 1000", "[[1000-1 [a 2 b 3]]]"},
		{"XREVRANGE s + - COUNT 2", "[[1001-0 [a 4]] [1000-1 [a 2 b 3]]]"},
		{"XRANGE s - + COUNT 0", "null array"},
		{"XREAD STREAMS s 0", "[[s [[1000-0 [a 1]] [1000-1 [a 2 b 3]] [1001-0 [a 4]]]]]"},
		{"XREAD COUNT 1 STREAMS no s 0 1000-0", "[[s [[1000-1 [a 2 b 3]]]]]"},
		{"XREAD STREAMS s $", "null array"},
		{"XREAD STREAMS s +", "[[s [[1001-0 [a 4]]]]]"},
		{"XREAD COUNT 2 MAXCOUNT 3 STREAMS s s 0 0", "[[s [[1000-0 [a 1]] [1000-1 [a 2 b 3]]]] [s [[1000-0 [a 1]]]]]"},
		{"XREAD MAXSIZE 5 STREAMS s s 0 0", "[[s [[1000-0 [a 1]]]]]"},
		{"XREAD MAXSIZE 6 STREAMS s s 0 0", "[[s [[1000-0 [a 1]] [1000-1 [a 2 b 3]]]]]"},
		{"XREAD MAXSIZE 10 STREAMS s s 0 0", "[[s [[1000-0 [a 1]] [1000-1 [a 2 b 3]] [1001-0 [a 4]]]] [s [[1000-0 [a 1]]]]]"},
		{"XREAD MAXSIZE 1 STREAMS s 0", "[[s [[1000-0 [a 1]]]]]"},
		{"SELECT 1", "+OK"},
		{"XADD s * a 1", "-ERR streams are in database 0 only; type: SELECT 0"},
		{"SELECT 0", "+OK"},
		{"XADD s MAXLEN 1 * a 5", "1001-1"},
		{"XRANGE s - +", "[[1001-1 [a 5]]]"},
		{"HELLO 3 SETNAME x", ""},
		{"XREAD STREAMS s no 0 0", "{s [[1001-1 [a 5]]]}"},
		{"XREAD STREAMS no 0", "_"},
	} {
		if got := p.do("%s", step[0]); step[1] != "" {
			assert.Equal(t, step[1], got, step[0])
		}
	}
}

// Entries that are not in memory, and long ranges, are filled in beside the core. The replies keep their order.
func TestEntriesAreFilledInTheirPlace(t *testing.T) {
	store := newTestStore()
	store.onDisk.Store(true)
	_, pipes := newStreams(t, store, 1)
	p := pipes[0]
	want := make([]string, 0, 1000)
	for i := range 1000 {
		require.Equal(t, fmt.Sprintf("%d-0", i+1), p.do("XADD s %d-0 n %d", i+1, i+1))
		want = append(want, fmt.Sprintf("[%d-0 [n %d]]", i+1, i+1))
	}
	all := "[" + strings.Join(want, " ") + "]"
	sent := p.sendsAll("PING 1\r\nXRANGE s - +\r\nPING 2\r\nXREAD COUNT 1 STREAMS s s 998 999\r\nMULTI\r\nXRANGE s - + COUNT 1\r\nXADD s 1001-0 n 1001\r\n" +
		"XREVRANGE s + - COUNT 1\r\nXADD s 1002-0 n 1002\r\nEXEC\r\nPING 3\r\n")
	for _, reply := range []string{
		"1", all, "2", "[[s [[999-0 [n 999]]]] [s [[1000-0 [n 1000]]]]]", "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED",
		"[[[1-0 [n 1]]] 1001-0 [[1001-0 [n 1001]]] 1002-0]", "3",
	} {
		assert.Equal(t, reply, p.reply())
	}
	<-sent
	eventually(t, func() bool { return store.pins.Load() == 0 }, "all pins are released")
}

// A reply that is large, and not read, is in memory in small part only, and other connections go on.
func TestALargeReplyWaitsForItsClient(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, 2)
	p, other := pipes[0], pipes[1]
	for i := range 300 {
		require.Equal(t, fmt.Sprintf("%d-0", i+1), p.do("XADD s %d-0 n %s", i+1, strings.Repeat("x", 10_000)))
	}
	p.sends("XRANGE s - +\r\nPING after\r\n")
	eventually(t, func() bool { return p.outbox.FilledBytes() > maxFilled }, "the filler is ahead")
	assert.Less(t, p.outbox.FilledBytes(), int64(2*maxFilled))
	assert.Equal(t, "301-0", other.do("XADD s 301-0 n 1"))
	assert.Equal(t, "+PONG", other.do("PING"))
	got := p.reply()
	assert.Equal(t, 300, strings.Count(got, "[n x"), "the range is that of its instant")
	assert.Equal(t, "after", p.reply())
	assert.Zero(t, s.memory.Used()/(1<<20))
}

// The end of a connection ends the filler that waits for it.
func TestTheEndOfAConnectionEndsItsFiller(t *testing.T) {
	store := newTestStore()
	_, pipes := newStreams(t, store, 1)
	p := pipes[0]
	for i := range 100 {
		require.Equal(t, fmt.Sprintf("%d-0", i+1), p.do("XADD s %d-0 n %s", i+1, strings.Repeat("x", 10_000)))
	}
	p.sends("XRANGE s - +\r\n")
	eventually(t, func() bool { return p.outbox.FilledBytes() > maxFilled }, "the filler is ahead")
	_ = p.sock.Close()
	eventually(t, func() bool { return store.pins.Load() == 0 }, "all pins are released")
}

func TestADamagedEntryIsAnError(t *testing.T) {
	store := newTestStore()
	_, pipes := newStreams(t, store, 1)
	p := pipes[0]
	require.Equal(t, "1-0", p.do("XADD s 1-0 n 1"))
	store.damaged.Store(true)
	assert.Equal(t, "-ERR entries cannot be read: segment 1, offset 64: damaged", p.do("XRANGE s - +"))
	assert.Equal(t, "[-ERR entries cannot be read: segment 1, offset 64: damaged]", func() string {
		p.do("MULTI")
		p.do("XRANGE s - +")
		return p.do("EXEC")
	}())
	store.damaged.Store(false)
	assert.Equal(t, "[[1-0 [n 1]]]", p.do("XRANGE s - +"))
}

// An XADD with an idempotent id is parsed before the core, and may wait in a transaction.
func TestAnIdempotentAppend(t *testing.T) {
	store := newTestStore()
	_, pipes := newStreams(t, store, 1)
	p := pipes[0]
	assert.Equal(t, "1000-0", p.do("XADD s IDMP p 1 * a 1"))
	assert.Equal(t, "1000-0", p.do("XADD s IDMP p 1 * a 2"))
	assert.Equal(t, "1000-1", p.do("XADD s IDMPAUTO p * a 2 b 3"))
	sent := p.sendsAll("MULTI\r\nXADD s IDMPAUTO p * b 3 a 2\r\nXADD s IDMP p 2 * c 4\r\nXADD s IDMP p 3 1-1 c 4\r\n" + strings.Repeat("PING "+strings.Repeat("x", 5000)+"\r\n", 10) + "EXEC\r\n")
	for range 14 {
		p.reply()
	}
	<-sent
	assert.True(t, strings.HasPrefix(p.reply(), "[1000-1 1000-2 -ERR IDMP/IDMPAUTO can be used only with auto-generated IDs"))
	assert.Equal(t, "[[1000-0 [a 1]] [1000-1 [a 2 b 3]] [1000-2 [c 4]]]", p.do("XRANGE s - +"))
}

// One round makes one record, and so does a transaction, with what it reads between.
func TestARecordIsAllThatOneReadChanges(t *testing.T) {
	store := newTestStore()
	_, pipes := newStreams(t, store, 1)
	p := pipes[0]
	sent := p.sendsAll(strings.Repeat("XADD s * a 1\r\n", 20))
	for range 20 {
		p.reply()
	}
	<-sent
	assert.Len(t, store.all(), 1)
	for _, c := range []string{"MULTI", "XADD s * a 1", "XRANGE s - +", "XADD t * a 1", "EXEC"} {
		p.do("%s", c)
	}
	assert.Len(t, store.all(), 2)
	again := stream.New()
	for _, r := range store.all() {
		require.NoError(t, again.ApplyRecord(r))
	}
	assert.Equal(t, 22, again.Lookup([]byte("s")).Len()+again.Lookup([]byte("t")).Len())
}

// An append has its place in the one sequence, between publishes.
func TestAnAppendTakesANumberOfTheSequence(t *testing.T) {
	store := newTestStore()
	_, pipes := newStreams(t, store, 1)
	p := pipes[0]
	p.say("SEQ ON")
	require.Equal(t, "OK PUB a #1", p.do("PUB a 1"))
	p.do("XADD s * a 1")
	require.Equal(t, "OK PUB a #3", p.do("PUB a 1"))
	p.do("XADD s NOMKSTREAM 0-1 a 1") // refused: it takes no number
	p.do("XADD s * a 1")
	require.Equal(t, "OK PUB a #5", p.do("PUB a 1"))
	var numbers []uint64
	for _, r := range store.all() {
		require.NoError(t, stream.EachEntry(r, 0, func(e *stream.Entry) bool {
			numbers = append(numbers, e.Sequence)
			return true
		}))
	}
	assert.Equal(t, []uint64{2, 4}, numbers)
}

// Clause 7: the reply to an append, the replies that depend on it, and what comes behind them, leave only when the log is as
// safe as the policy demands. Other connections do not wait.
func TestRepliesWaitForTheLog(t *testing.T) {
	store := newTestStore()
	store.barriers = true
	s, pipes := newStreams(t, store, 4)
	writer, reader, blocked, other := pipes[0], pipes[1], pipes[2], pipes[3]
	blocked.sends("XREAD BLOCK 0 STREAMS s $\r\n")
	awaitBlocked(t, s, 1)
	writer.sends("PING first\r\n")
	assert.Equal(t, "first", writer.reply())
	eventually(t, func() bool { return writer.outbox.ReplyBytes() == 0 }, "the first reply has left")
	writer.sends("XADD s 1-0 a 1\r\nPING behind\r\n")
	eventually(t, func() bool { return writer.outbox.ReplyBytes() > 0 }, "the reply waits")
	reader.sends("XRANGE s - +\r\n")
	eventually(t, func() bool { return reader.outbox.ReplyBytes() > 0 }, "the reply waits")
	eventually(t, func() bool { return blocked.outbox.ReplyBytes() > 0 }, "the reply waits")
	assert.Equal(t, "+PONG", other.do("PING"))
	s.Synced(0, 0, nil)
	assert.Positive(t, writer.outbox.ReplyBytes())
	s.Synced(1, 0, nil)
	assert.Equal(t, "1-0", writer.reply())
	assert.Equal(t, "behind", writer.reply())
	assert.Equal(t, "[[1-0 [a 1]]]", reader.reply())
	assert.Equal(t, "[[s [[1-0 [a 1]]]]]", blocked.reply())
	assert.Equal(t, "[[1-0 [a 1]]]", reader.do("XRANGE s - +"), "what is safe is not waited for")
}

// What the log has from an earlier start is safe.
func TestNothingWaitsForAnEarlierStart(t *testing.T) {
	store := newTestStore()
	store.barriers = true
	store.Append(nil)
	_, pipes := newStreams(t, store, 1)
	assert.Equal(t, "[]", pipes[0].do("XRANGE s - +"))
}

// A client that sends an append and ends its side gets the reply all the same.
func TestAReplyWaitsForTheLogAtTheEnd(t *testing.T) {
	store := newTestStore()
	store.barriers = true
	s, pipes := newStreams(t, store, 1)
	p := pipes[0]
	p.sends("XADD s 1-0 a 1\r\nQUIT\r\n")
	eventually(t, func() bool { return p.Reason() == CloseReasonQuit }, "the reader has ended")
	s.Synced(1, 0, nil)
	assert.Equal(t, "1-0", p.reply())
	assert.Equal(t, "+OK", p.reply())
	_, err := p.from.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
}

func TestAFailedLogEndsThoseThatWaitForIt(t *testing.T) {
	store := newTestStore()
	store.barriers = true
	s, pipes := newStreams(t, store, 3)
	p, other, late := pipes[0], pipes[1], pipes[2]
	p.sends("XADD s 1-0 a 1\r\n")
	eventually(t, func() bool { return p.outbox.ReplyBytes() > 0 }, "the reply waits")
	failed := errors.New("sync of segment 1: input/output error")
	store.failed.Store(&failed)
	s.Synced(0, 0, failed)
	text, err := io.ReadAll(p.from)
	require.NoError(t, err)
	assert.Empty(t, string(text), "RESP2 has no close notice")
	assert.Equal(t, CloseReasonLog, p.Reason())
	misconf := "-MISCONF Errors writing to the AOF file: sync of segment 1: input/output error"
	assert.Equal(t, misconf, other.do("XADD s 1-0 a 1"))
	assert.Equal(t, misconf, late.do("XRANGE s - +"), "the state has what is not safe, and never will be")
	assert.Equal(t, "OK PUB a", other.do("PUB a 1"), "plain topics go on")
	s.Replace(stream.New())
	assert.Equal(t, "[]", late.do("XRANGE s - +"), "streams are served as of the last safe record")
	assert.Equal(t, misconf, other.do("XADD s 1-0 a 1"))
}

// The log fails between an append and its flush.
func TestAnAppendOfTheRoundInWhichTheLogFails(t *testing.T) {
	store := newTestStore()
	store.barriers = true
	s, pipes := newStreams(t, store, 1)
	p := pipes[0]
	failed := errors.New("input/output error")
	s.Synced(0, 0, failed)
	p.sends("XADD s 1-0 a 1\r\n") // the store does not show the failure yet
	text, err := io.ReadAll(p.from)
	require.NoError(t, err)
	assert.Empty(t, string(text))
	assert.Equal(t, CloseReasonLog, p.Reason())
}

func TestAppendsWaitAtTheirReader(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, 2)
	p, other := pipes[0], pipes[1]
	store.unsynced.Store(64<<20 + 1)
	p.sends("XADD s 1-0 a 1\r\n")
	assert.Equal(t, "OK PUB a", other.do("PUB a 1"), "plain topics go on")
	assert.Equal(t, "[]", other.do("XRANGE s - +"))
	assert.Empty(t, store.all())
	store.unsynced.Store(64 << 20)
	s.Synced(0, 0, nil)
	assert.Equal(t, "1-0", p.reply())
	store.unsynced.Store(64<<20 + 1)
	other.sends("XADD s 2-0 a 1\r\n")
	_ = other.sock.Close() // the reader sees it later, and the log never comes down
	other.End(CloseReasonKilled)
}

func TestOutOfMemory(t *testing.T) {
	store := newTestStore()
	_, pipes := newStreams(t, store, 1)
	store.full.Store(true)
	assert.Equal(t, "-OOM command not allowed when used memory > 'maxmemory'.", pipes[0].do("XADD s * a 1"))
	store.full.Store(false)
	assert.Equal(t, "1000-0", pipes[0].do("XADD s * a 1"))
}

// awaitBlocked waits until so many clients wait.
func awaitBlocked(t testing.TB, s *Service, n int) {
	t.Helper()
	eventually(t, func() bool {
		count := 0
		s.runOnCore(func(broker.View) { count = s.streams.blocked.count })
		return count == n
	}, "clients wait")
}

// Over a WebSocket that speaks lines, a reply with entries is one text, as every other reply.
func TestEntriesOverAWebSocket(t *testing.T) {
	store := newTestStore()
	store.onDisk.Store(true)
	p := servePresented(t, Options{Store: store}).texts
	text := func(command string) string {
		p.sends(command + "\n")
		_, text := p.message()
		return text
	}
	assert.Equal(t, "$3\n1-0", text("XADD s 1-0 a 1"))
	assert.Equal(t, "*1\n*2\n$3\n1-0\n*2\n$1\na\n$1\n1", text("XRANGE s - +"))
	for i := range 20 {
		text(fmt.Sprintf("XADD s %d-0 a %s", i+2, strings.Repeat("x", 60_000)))
	}
	assert.Equal(t, "-ERR reply of more than 1048576 bytes in one text; use COUNT", text("XRANGE s - +"))
	assert.Equal(t, "+PONG", text("PING"))
}

// A transaction reads in bounded steps: so many ranges, however long, and not one more.
func TestATransactionReadsSoMuch(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 1)
	p := pipes[0]
	p.do("XADD s 1-0 a 1")
	p.do("MULTI")
	for range maxLargeReplies {
		assert.Equal(t, "+QUEUED", p.do("XRANGE s - +"))
	}
	assert.Equal(t, "["+strings.Repeat(" [[1-0 [a 1]]]", maxLargeReplies)[1:]+"]", p.do("EXEC"))
	p.do("MULTI")
	for range maxLargeReplies {
		p.do("XRANGE s - +")
	}
	assert.Contains(t, p.do("XREAD STREAMS s 0"), "-ERR more than 16 commands")
	assert.Contains(t, p.do("EXEC"), "-EXECABORT")
}

// A small entry may lie in a large record: that of a transaction. The core does not search it.
func TestTheCoreSearchesNoLargeRecord(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 1)
	p := pipes[0]
	p.do("MULTI")
	for range maxScannedNow/50_000 + 1 {
		p.do("XADD s * n %s", strings.Repeat("x", 50_000))
	}
	p.do("XADD s 2000-0 n 1")
	p.do("EXEC")
	p.do("XADD s 3000-0 n 2")
	assert.Equal(t, "[[3000-0 [n 2]]]", p.do("XRANGE s 3000 3000"))
	assert.Nil(t, p.getFiller(), "the core reads a small record")
	assert.Equal(t, "[[2000-0 [n 1]]]", p.do("XRANGE s 2000 2000"))
	assert.NotNil(t, p.getFiller())
}

// The keys of WATCH are as many as a client names; naming them again costs no search.
func TestWatchingAKeyTwice(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 1)
	p := pipes[0]
	for range 2 {
		assert.Equal(t, "+OK", p.do("WATCH a b a"))
	}
	s.runOnCore(func(broker.View) { assert.Len(t, p.executor.watchedKeys(), 2) })
	assert.Equal(t, "+OK", p.do("UNWATCH"))
	assert.Equal(t, "+OK", p.do("WATCH a"))
	p.do("XADD a * n 1")
	p.do("MULTI")
	assert.Equal(t, "null array", p.do("EXEC"))
	assert.Zero(t, p.usesStreams().usage.watched.Load())
}

// Clients that read none of their large entries hold no more than max-memory together, but for the entries that are being read.
func TestLargeEntriesWaitForMemory(t *testing.T) {
	const limit, entry, clients = 8 << 20, 1 << 20, 40
	store := newTestStore()
	s := newService(t, Options{Unprotected: true, Store: store, MaxMemory: limit})
	writer := servePipesOf(t, s, 1)[0]
	writer.do("XADD s 1-0 n %s", strings.Repeat("x", 60_000))
	assert.Equal(t, "2-0", writer.command("XADD", "s", "2-0", "n", strings.Repeat("x", entry)))
	var most atomic.Int64
	store.onRead = func() {
		for now := s.memory.Used(); now > most.Load(); {
			most.Store(now)
		}
	}
	for _, p := range servePipesOf(t, s, clients) {
		p.sends("XRANGE s 2 2\r\n")
	}
	eventually(t, func() bool { return s.Counts.Closes[CloseReasonMaxMemory].Load() >= clients-limit/entry }, "too few are evicted")
	assert.LessOrEqual(t, most.Load(), int64(limit+2*runtime.GOMAXPROCS(0)*entry))
	assert.Equal(t, "+PONG", writer.do("PING"))
}

// Keys that a client has watched in great number are left by the core a few at a time.
func TestVeryManyWatchedKeysAreLeftInVisits(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, 2)
	p, other := pipes[0], pipes[1]
	args := []string{"WATCH"}
	for i := range 3*maxUnwatched + 10 {
		args = append(args, fmt.Sprint("k", i))
	}
	assert.Equal(t, "+OK", p.command(args...))
	s.runOnCore(func(broker.View) { assert.Len(t, p.executor.watchedKeys(), len(args)-1) })
	other.do("XADD k0 * n 1")
	first := args[1]
	s.runOnCore(func(broker.View) {
		p.executor.unwatchAll()
		assert.Empty(t, p.executor.watchedKeys())
		assert.Len(t, s.streams.leftWatched, 1, "they are more than fit into one instant")
		assert.Len(t, s.streams.leftWatched[0], 2*maxUnwatched+10)
	})
	eventually(t, func() (none bool) {
		s.runOnCore(func(broker.View) { none = len(s.streams.leftWatched) == 0 })
		return none
	}, "some are left")
	assert.Equal(t, "+OK", p.do("WATCH %s", first))
	other.do("XADD k0 * n 2")
	p.do("MULTI")
	assert.Equal(t, "null array", p.do("EXEC"))
	assert.Equal(t, "+OK", p.command(args...))
	_ = p.sock.Close()
	eventually(t, func() (none bool) {
		s.runOnCore(func(broker.View) { none = s.streams.state.Watches() == 0 })
		return none
	}, "the end of the connection leaves some")
}

// A client that reads nothing delays the end of its connection by one DrainTimeout, which is for the entries of its replies and for what
// waits to be written together.
func TestAConnectionWaitsForItsClientOnce(t *testing.T) {
	store := newTestStore()
	s := newService(t, Options{Unprotected: true, Store: store, DrainTimeout: 20 * time.Millisecond})
	p := servePipesOf(t, s, 1)[0]
	for i := range 100 {
		require.Equal(t, fmt.Sprintf("%d-0", i+1), p.do("XADD s %d-0 n %s", i+1, strings.Repeat("x", 10_000)))
	}
	p.sends("XRANGE s - +\r\n")
	eventually(t, func() bool { return p.outbox.FilledBytes() > maxFilled }, "the filler is ahead")
	s.Stop()
	eventually(t, func() bool { return s.Counts.Open.Load() == 0 }, "the connection does not end")
	assert.False(t, p.deadlineAhead.Load(), "the time was up when the entries were given up")
	assert.EqualValues(t, 1, s.Counts.Undrained.Load())
	assert.Positive(t, s.Counts.UndrainedBytes.Load())
}

// A stop that cuts a reply off while nothing of it waits to be written counts the connection all the same, and nothing follows what has left.
func TestAReplyThatIsCutOffIsCounted(t *testing.T) {
	s := newService(t, Options{Unprotected: true, Store: newTestStore(), DrainTimeout: time.Millisecond})
	p := servePipesOf(t, s, 1)[0]
	for i := range 100 {
		require.Equal(t, fmt.Sprintf("%d-0", i+1), p.do("XADD s %d-0 n %s", i+1, strings.Repeat("x", 1000)))
	}
	for range cap(s.fillers.held) { // the filler waits for its turn
		require.True(t, s.fillers.acquire(new(abortSignal)))
	}
	p.sends("XRANGE s - +\r\n")
	eventually(t, func() bool { return p.outbox.Places() == 1 }, "the reply has no place")
	require.Zero(t, p.outbox.WaitingBytes())
	p.sends("PING\r\n")
	eventually(t, func() bool { return p.outbox.WaitingBytes() > 0 }, "PING is not answered")
	s.Stop()
	rest, _ := io.ReadAll(p.from)
	assert.Empty(t, string(rest), "the answer to PING would be a part of the reply before it")
	eventually(t, func() bool { return s.Counts.Open.Load() == 0 }, "the connection does not end")
	assert.EqualValues(t, 1, s.Counts.Undrained.Load())
}

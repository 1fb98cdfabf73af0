package command

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// addKeys makes streams of one entry, k0 and so on.
func (p *pipe) addKeys(n int) {
	p.t.Helper()
	for i := range n {
		require.Equal(p.t, "1-1", p.do("XADD k%d 1-1 a b", i))
	}
}

// command sends a command of many arguments, and returns its reply.
func (p *pipe) command(args ...string) string {
	p.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	p.sends(b.String())
	return p.reply()
}

// names are the words of a list.
func names(list string) []string { return strings.Fields(strings.Trim(list, "[]")) }

func TestKeysAreListedInTheOrderOfTheirMaking(t *testing.T) {
	_, conns := newStreams(t, newTestStore(), 1)
	a := conns[0]
	const n = 2*maxScanned + 10
	a.addKeys(n)
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("k%d", i))
	}
	assert.Equal(t, want, names(a.do("KEYS *")))
	assert.Equal(t, []string{"k17", "k27"}, names(a.do("KEYS k[0-2]7")))
	assert.Equal(t, "[]", a.do("KEYS none"))
	assert.Equal(t, "+OK", a.do("MULTI"))
	assert.Equal(t, "+QUEUED", a.do("KEYS *"))
	assert.Equal(t, want, names(strings.TrimPrefix(a.do("EXEC"), "[")))
	assert.Equal(t, "+PONG", a.do("PING"), "one reply each")
}

// Every other connection waits for a step.
func TestAStepOfKeysIsBounded(t *testing.T) {
	store := newTestStore()
	s, conns := newStreams(t, store, 1)
	conns[0].addKeys(2*maxScanned + 10)
	looked := 0
	s.runOnCore(func(broker.View) {
		w := &response{executor: &executor{Conn: &Conn{service: s}}, inv: &invocation{args: [][]byte{nil, []byte("*")}}}
		k := new(keySearch)
		for steps := 1; ; steps++ {
			k.step(w, maxScanned)
			assert.Equal(t, min(steps*maxScanned, 2*maxScanned+10), k.found)
			assert.Equal(t, k.cursor != 0, w.executor.usesStreams().usage.blocked.Load() >= int64(k.size), "what it holds between steps counts")
			if looked = steps; k.cursor == 0 {
				break
			}
		}
	})
	assert.Equal(t, 3, looked)
}

func TestAScanFindsWhatIsThereThroughoutExactlyOnce(t *testing.T) {
	_, conns := newStreams(t, newTestStore(), 2)
	a, b := conns[0], conns[1]
	a.addKeys(50)
	seen := map[string]int{}
	cursor := "0"
	for round := 0; round == 0 || cursor != "0"; round++ {
		reply := names(strings.ReplaceAll(a.do("SCAN %s COUNT 7", cursor), "[", ""))
		cursor = reply[0]
		for _, name := range reply[1:] {
			seen[strings.Trim(name, "]")]++
		}
		b.do("DEL k%d k%d", round, 49-round)
		b.do("XADD new%d 1-1 a b", round)
		b.do("XADD k%d 1-1 a b", 49-round) // a new key of an old name
	}
	for i := 10; i < 40; i++ {
		assert.Equal(t, 1, seen[fmt.Sprintf("k%d", i)], i)
	}
	assert.Equal(t, "[0 []]", a.do("SCAN 18446744073709551615"))
	assert.Equal(t, "[0 []]", a.do("SCAN 0 TYPE string"))
	whole := names(a.do("SCAN 0 COUNT 1000000"))
	assert.Equal(t, "0", whole[0], "fewer keys than one SCAN looks at")
}

// The glob * does not match an empty name, but by itself it stands for all keys.
func TestAnEmptyKeyIsFound(t *testing.T) {
	_, conns := newStreams(t, newTestStore(), 1)
	a := conns[0]
	require.Equal(t, "1-1", a.command("XADD", "", "1-1", "a", "b"))
	a.addKeys(1)
	assert.Equal(t, "[ k0]", a.do("KEYS *"))
	assert.Equal(t, "[0 [ k0]]", a.do("SCAN 0 MATCH *"))
	assert.Equal(t, "[0 [k0]]", a.do("SCAN 0 MATCH *[k]*"))
}

func TestTheEndOfAKey(t *testing.T) {
	store := newTestStore()
	_, conns := newStreams(t, store, 1)
	a := conns[0]
	a.addKeys(1)
	assert.Equal(t, ":-1", a.do("TTL k0"))
	for _, step := range []struct {
		now           int64
		command, want string
	}{
		{1000, "PEXPIRE k0 1499", ":1"},
		{1000, "TTL k0", ":1"},
		{1000, "PTTL k0", ":1499"},
		{1000, "EXPIRETIME k0", ":2"},
		{1000, "PEXPIRETIME k0", ":2499"},
		{1000, "PEXPIRE k0 1500", ":1"},
		{1000, "TTL k0", ":2"},
		{2000, "TTL k0", ":1"},
		{2499, "PTTL k0", ":1"},
		{2500, "PTTL k0", ":0"},
		{2501, "PTTL k0", ":-2"},
		{2501, "EXISTS k0", ":0"},
		{2501, "DBSIZE", ":0"},
		{2501, "XADD k0 1-1 a b", "1-1"},
		{2501, "TTL k0", ":-1"},
		{2501, "EXPIRE k0 10", ":1"},
		{2501, "PEXPIRETIME k0", ":12501"},
		{2501, "EXPIREAT k0 20 GT", ":1"},
		{2501, "EXPIREAT k0 20 GT", ":0"},
		{2501, "PERSIST k0", ":1"},
		{2501, "PERSIST k0", ":0"},
		{2501, "EXPIREAT k0 20 XX", ":0"},
		{2501, "EXPIREAT k0 20 GT", ":0"},
		{2501, "EXPIREAT k0 20 LT", ":1"},
		{2501, "EXPIREAT k0 2", ":1"},
		{2501, "EXISTS k0", ":0"},
	} {
		store.ms.Store(step.now)
		assert.Equal(t, step.want, a.do("%s", step.command), "%s at %d", step.command, step.now)
	}
}

func TestACommandInPiecesHasOneReply(t *testing.T) {
	_, conns := newStreams(t, newTestStore(), 1)
	a := conns[0]
	const n = 2*maxNames + 10
	a.addKeys(n)
	args, ids := []string{"none"}, []string{}
	for i := range n {
		args = append(args, fmt.Sprintf("k%d", i))
		ids = append(ids, "1-"+strconv.Itoa(i+1))
		require.Equal(t, ids[i], a.do("XADD ids %s a b", ids[i]))
	}
	count := ":" + strconv.Itoa(n)
	assert.Equal(t, count, a.command(append([]string{"EXISTS"}, args...)...))
	assert.Equal(t, count, a.command(append([]string{"TOUCH"}, args...)...))
	assert.Equal(t, count, a.command(append([]string{"DEL"}, args...)...))
	assert.Equal(t, ":0", a.command(append([]string{"UNLINK"}, args...)...))
	assert.Equal(t, ":1", a.do("DBSIZE"))

	wrong := append([]string{"XDEL", "ids"}, append(slices.Clone(ids), "x")...)
	assert.Equal(t, "-ERR "+string(stream.ErrInvalidID), a.command(wrong...))
	assert.Equal(t, count, a.do("XLEN ids"), "a wrong id at the end: none is deleted")
	assert.Equal(t, count, a.command(append([]string{"XDEL", "ids"}, ids...)...))
	assert.Equal(t, ":0", a.command(append([]string{"XDEL", "none"}, ids...)...))
	assert.Equal(t, ":0", a.do("XLEN ids"))
	assert.Equal(t, "+PONG", a.do("PING"))
}

func TestManyKeysNeedAllRights(t *testing.T) {
	_, conns := newStreams(t, newTestStore(), 2)
	a, b := conns[0], conns[1]
	assert.Equal(t, "+OK", a.do("ACL SETUSER alice on nopass +@all ~k* &*"))
	a.addKeys(1)
	assert.Equal(t, "+OK", b.do("AUTH alice x"))
	args := slices.Repeat([]string{"k0"}, maxNames)
	assert.Equal(t, ":1", b.command(append([]string{"DEL"}, args...)...))
	a.addKeys(1)
	args = append(args, "other")
	assert.Equal(t, "-ERR more than 1000 keys in one command of a user without all rights", b.command(append([]string{"DEL"}, args...)...))
	assert.Equal(t, ":1", a.do("EXISTS k0"), "none is deleted")
}

// Another server that applies the records has the same state.
func TestTheRecordsOfCommandsMakeTheSameState(t *testing.T) {
	store := newTestStore()
	s, conns := newStreams(t, store, 1)
	a := conns[0]
	a.addKeys(20)
	for i, command := range []string{
		"XADD k1 2-1 a b", "XADD k1 3-1 a b", "XDEL k1 2-1", "XDELEX k1 IDS 2 3-1 9-9", "XTRIM k1 MAXLEN 0", "XSETID k1 9-9 ENTRIESADDED 50",
		"XCFGSET k2 IDMP-DURATION 5 IDMP-MAXSIZE 7", "XFENCE k2 7", "XFENCE new 8", "PEXPIREAT k3 5000", "PEXPIREAT k4 5000", "PERSIST k4", "PEXPIRE k5 -1", "DEL k6 k7",
		"UNLINK k8", "EXPIREAT k9 99999999999",
	} {
		reply := a.do("%s", command)
		assert.NotContains(t, reply, "-ERR", command)
		store.ms.Store(int64(2000 + i))
	}
	store.ms.Store(5001)
	assert.Equal(t, ":0", a.do("EXISTS k3"))
	same := func() {
		a.do("PING")
		replica := stream.New()
		for _, record := range store.all() {
			require.NoError(t, replica.ApplyRecord(record))
		}
		s.runOnCore(func(broker.View) { assert.Equal(t, store.state.Digest(), replica.Digest()) })
	}
	same()
	assert.Equal(t, "+OK", a.do("FLUSHALL"))
	same()
}

func TestWaitAOF(t *testing.T) {
	store := newTestStore()
	directory := true
	s := newService(t, Options{Unprotected: true, Store: store, LogStatus: func() LogStatus { return LogStatus{Directory: directory} }})
	conns := servePipesOf(t, s, 3)
	a, b, c := conns[0], conns[1], conns[2]
	assert.Equal(t, "[:1 :0]", a.do("WAITAOF 1 0 0"), "there is nothing that is not on disk")
	a.addKeys(1)
	assert.Equal(t, "[:0 :0]", a.do("WAITAOF 0 1 0"), "none is waited for")
	b.sends("WAITAOF 1 0 0\r\nPING\r\n")
	c.sends("WAITAOF 1 2 500\r\n")
	awaitBlocked(t, s, 2)
	store.ms.Add(500)
	s.Tick()
	assert.Equal(t, "[:0 :0]", c.reply(), "its time is up")
	s.Synced(1, 0, nil)
	assert.Equal(t, "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR", a.do("CLIENT UNBLOCK 1 x"))
	s.Synced(1, 1, nil)
	assert.Equal(t, "[:1 :0]", b.reply())
	assert.Equal(t, "+PONG", b.reply())
	assert.Equal(t, "[:1 :0]", a.do("WAITAOF 0 0 0"))

	a.do("XADD k0 2-1 a b")
	b.sends("WAITAOF 1 0 0\r\n")
	awaitBlocked(t, s, 1)
	id := strings.TrimPrefix(c.do("CLIENT ID"), ":")
	assert.Equal(t, ":0", a.do("CLIENT UNBLOCK %s", id), "it waits no longer")
	failed := errors.New("no disk")
	store.failed.Store(&failed)
	s.Synced(1, 1, failed)
	assert.Equal(t, "[:0 :0]", b.reply())
	awaitBlocked(t, s, 0)

	directory = false
	assert.Equal(t, "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.", a.do("WAITAOF 1 0 0"))
	assert.Equal(t, "[:0 :0]", a.do("WAITAOF 0 0 0"))
	assert.Equal(t, "-ERR value is out of range, value must between 0 and 1", a.do("WAITAOF 2 0 0"))
	assert.Equal(t, "-ERR timeout is negative", a.do("WAIT 0 -1"))
	assert.Equal(t, ":0", a.do("WAIT 3 0"))
}

func TestABlockedReadIsJudgedAgain(t *testing.T) {
	s, conns := newStreams(t, newTestStore(), 2)
	a, b := conns[0], conns[1]
	assert.Equal(t, "+OK", a.do("ACL SETUSER alice on nopass +@all ~* &*"))
	assert.Equal(t, "+OK", b.do("AUTH alice x"))
	b.sends("XREAD BLOCK 0 STREAMS k other $ $\r\n")
	awaitBlocked(t, s, 1)
	assert.Equal(t, "+OK", a.do("ACL SETUSER alice resetkeys ~k"), "the other key is denied from here on")
	a.addKeys(1)
	assert.Equal(t, "1-1", a.do("XADD k 1-1 a b"))
	assert.Equal(t, "-NOPERM No permissions to access a key", b.reply())
	b.sends("XREAD BLOCK 0 STREAMS k $\r\n")
	awaitBlocked(t, s, 1)
	assert.Equal(t, "2-1", a.do("XADD k 2-1 a b"))
	assert.Equal(t, "[[k [[2-1 [a b]]]]]", b.reply())
}

// What KEYS finds is in memory about once: for very many keys it is many megabytes, and every client may send KEYS.
func TestKeysCopiesLittle(t *testing.T) {
	store := newTestStore()
	s, conns := newStreams(t, store, 1)
	name := strings.Repeat("n", 2000)
	for i := range 5 * maxScanned {
		conns[0].sends(fmt.Sprintf("XADD %s%d 1-1 a b\r\n", name, i))
		conns[0].reply()
	}
	s.runOnCore(func(broker.View) {
		w := &response{executor: &executor{Conn: &Conn{service: s}}, inv: &invocation{args: [][]byte{nil, []byte("*")}}}
		k := new(keySearch)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for k.step(w, maxScanned); k.cursor != 0; k.step(w, maxScanned) {
		}
		runtime.ReadMemStats(&after)
		assert.Equal(t, 5*maxScanned, k.found)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(k.size*3))
	})
}

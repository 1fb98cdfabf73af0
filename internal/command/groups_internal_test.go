package command

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/stream"
)

// Each entry goes to one of the consumers that wait, the one that has waited longest first.
func TestOneOfTheBlockedConsumersGetsAnEntry(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 4)
	ann, bob, reader, writer := pipes[0], pipes[1], pipes[2], pipes[3]
	assert.Equal(t, "+OK", writer.do("XGROUP CREATE s g $ MKSTREAM"))
	ann.sends("XREADGROUP GROUP g ann BLOCK 0 STREAMS s >\r\n")
	awaitBlocked(t, s, 1)
	bob.sends("XREADGROUP GROUP g bob BLOCK 0 STREAMS s >\r\n")
	awaitBlocked(t, s, 2)
	reader.sends("XREAD BLOCK 0 STREAMS s $\r\n")
	awaitBlocked(t, s, 3)
	assert.Equal(t, "4-0", writer.do("XADD s 4-0 a 1"))
	assert.Equal(t, "[[s [[4-0 [a 1]]]]]", ann.reply())
	assert.Equal(t, "[[s [[4-0 [a 1]]]]]", reader.reply())
	awaitBlocked(t, s, 1)
	assert.Equal(t, "5-0", writer.do("XADD s 5-0 a 2"))
	assert.Equal(t, "[[s [[5-0 [a 2]]]]]", bob.reply())
	awaitBlocked(t, s, 0)
	assert.Equal(t, "[:2 4-0 5-0 [[ann 1] [bob 1]]]", writer.do("XPENDING s g"))
	assert.Empty(t, s.streams.blocked.keys)
}

// Very many consumers that one entry wakes, each of a group of its own, take several rounds, so that others come between. Those that
// have ended meanwhile get nothing.
func TestWokenConsumersTakeSeveralRounds(t *testing.T) {
	const consumers = 2*maxServed + 10
	store := newTestStore()
	s, pipes := newStreams(t, store, consumers+1)
	writer := pipes[consumers]
	for i, p := range pipes[:consumers] {
		writer.do("XGROUP CREATE s g%d $ MKSTREAM", i)
		p.sends(fmt.Sprintf("XREADGROUP GROUP g%d c COUNT 1 BLOCK 0 STREAMS s >\r\n", i))
		awaitBlocked(t, s, i+1)
	}
	assert.Equal(t, "1-0", writer.do("XADD s 1-0 a 1"))
	awaitBlocked(t, s, consumers-maxServed)
	assert.EqualValues(t, 1, store.deadline.Load(), "the rest is due at once")
	last := pipes[consumers-1]
	assert.Equal(t, ":1", writer.do("CLIENT UNBLOCK %d", last.ID()))
	for _, left := range []int{10 - 1, 0} {
		store.deadline.Store(0) // it is over once it has ticked
		s.Tick()
		awaitBlocked(t, s, left)
	}
	assert.Zero(t, store.deadline.Load())
	for _, p := range pipes[:consumers-1] {
		assert.Equal(t, "[[s [[1-0 [a 1]]]]]", p.reply())
	}
	assert.Equal(t, "null array", last.reply())
	assert.Equal(t, "[:0 null null null array]", writer.do("XPENDING s g%d", consumers-1))
}

// Waits that end at one instant take several rounds, too.
func TestEndedWaitsTakeSeveralRounds(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, maxServed+1)
	for i, p := range pipes {
		p.sends("XREAD BLOCK 1000 STREAMS s $\r\n")
		awaitBlocked(t, s, i+1)
	}
	store.ms.Add(1000)
	for _, left := range []int{1, 0} {
		s.Tick()
		awaitBlocked(t, s, left)
	}
	for _, p := range pipes {
		assert.Equal(t, "null array", p.reply())
	}
}

// Of many consumers of one group those that have waited longest get entries, one each; nothing is done for the others. With another kind of
// client among them all is as before, and the end of the group reaches all.
func TestManyConsumersOfOneGroupWait(t *testing.T) {
	const consumers = 8
	s, pipes := newStreams(t, newTestStore(), consumers+2)
	reader, writer := pipes[consumers], pipes[consumers+1]
	writer.do("XGROUP CREATE s g $ MKSTREAM")
	waits := func(i, blocked int) {
		pipes[i].sends(fmt.Sprintf("XREADGROUP GROUP g c%d COUNT 1 BLOCK 0 STREAMS s >\r\n", i))
		awaitBlocked(t, s, blocked)
	}
	for i := range consumers {
		waits(i, i+1)
	}
	gets := func(i, entry int) {
		assert.Equal(t, fmt.Sprintf("[[s [[%d-0 [a 1]]]]]", entry), pipes[i].reply())
	}
	writer.do("XADD s 1-0 a 1")
	gets(0, 1)
	for _, command := range []string{"MULTI", "XADD s 2-0 a 1", "XADD s 3-0 a 1", "XADD s 4-0 a 1", "XDEL s 3-0", "EXEC"} {
		writer.do("%s", command)
	}
	gets(1, 2)
	gets(2, 4)
	awaitBlocked(t, s, consumers-3)
	waits(0, consumers-2)
	s.runOnCore(func(broker.View) {
		k := s.streams.blocked.keys["s"]
		assert.True(t, k.oneGroup)
		assert.Empty(t, k.frames, "no entry is encoded for them")
	})
	reader.sends("XREAD BLOCK 0 STREAMS s $\r\n")
	awaitBlocked(t, s, consumers-1)
	writer.do("XADD s 5-0 a 1")
	gets(3, 5)
	assert.Equal(t, "[[s [[5-0 [a 1]]]]]", reader.reply())
	writer.do("XGROUP DESTROY s g")
	for _, i := range []int{4, 5, 6, 7, 0} {
		assert.Contains(t, pipes[i].reply(), "-NOGROUP")
	}
	awaitBlocked(t, s, 0)
	writer.do("XGROUP CREATE s g $")
	waits(0, 1)
	waits(1, 2)
	writer.do("XGROUP SETID s g 4-0")
	gets(0, 5)
	writer.do("XGROUP DESTROY s g")
	assert.Contains(t, pipes[1].reply(), "-NOGROUP")
}

// A client that waits holds no read buffer of the usual size: its command is moved to a small one, if it fits. Quoted arguments of lines
// stay what they are.
func TestABlockedClientHoldsASmallBuffer(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 2)
	p, writer := pipes[0], pipes[1]
	defer zerolog.SetGlobalLevel(zerolog.GlobalLevel())
	zerolog.SetGlobalLevel(zerolog.DebugLevel) // a command that is parsed twice would be logged twice
	p.waitsForBytes.Store(true)
	require.Equal(t, "+PONG", p.do("PING")) // behind it reads have that room
	for i, waits := range []string{
		"*6\r\n$5\r\nxread\r\n$5\r\nBLOCK\r\n$1\r\n0\r\n$7\r\nSTREAMS\r\n$1\r\ns\r\n$1\r\n$\r\n",
		"XREAD BLOCK 0 STREAMS s " + strings.Repeat("t", 2000) + " $ $\r\n", "XREAD \"BLOCK\" 0 \"STR\\x45AMS\" \"s\" $\r\n",
	} {
		size := int64(outbox.SmallBuffers.BufferSize)
		if i > 0 {
			size = int64(outbox.MediumBuffers.BufferSize)
		}
		p.sends(waits)
		awaitBlocked(t, s, 1)
		s.runOnCore(func(broker.View) {
			c := p.streamClient.Load().blocked
			assert.Equal(t, size, c.batch.buf.Size(), waits)
		})
		id := writer.do("XADD s * a 1")
		assert.Contains(t, p.reply(), id)
	}
}

// A blocked consumer learns that its group is gone.
func TestABlockedConsumerAndTheEndOfItsGroup(t *testing.T) {
	for _, end := range []string{"XGROUP DESTROY s g", "DEL s", "FLUSHALL"} {
		s, pipes := newStreams(t, newTestStore(), 2)
		p, other := pipes[0], pipes[1]
		assert.Equal(t, "+OK", other.do("XGROUP CREATE s g $ MKSTREAM"))
		p.sends("XREADGROUP GROUP g c BLOCK 0 STREAMS s >\r\n")
		awaitBlocked(t, s, 1)
		other.do("%s", end)
		assert.Equal(t, "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option", p.reply(), end)
		awaitBlocked(t, s, 0)
	}
}

// With CLAIM, a blocked consumer gets what another one has had for too long, and what was released, at once.
func TestABlockedConsumerClaims(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, 3)
	p, second, other := pipes[0], pipes[1], pipes[2]
	assert.Equal(t, "+OK", other.do("XGROUP CREATE s g $ MKSTREAM"))
	assert.Equal(t, "1-0", other.do("XADD s 1-0 a 1"))
	assert.Equal(t, "2-0", other.do("XADD s 2-0 a 2"))
	assert.Equal(t, "[[s [[1-0 [a 1]] [2-0 [a 2]]]]]", other.do("XREADGROUP GROUP g dead STREAMS s >"))
	p.sends("XREADGROUP GROUP g c COUNT 1 BLOCK 9000 CLAIM 5000 STREAMS s >\r\n")
	awaitBlocked(t, s, 1)
	assert.EqualValues(t, 6000, store.deadline.Load())
	store.ms.Store(5999)
	s.Tick()
	other.do("PING")
	awaitBlocked(t, s, 1)
	store.ms.Store(6000)
	s.Tick()
	assert.Equal(t, "[[s [[1-0 [a 1] :5000 :1]]]]", p.reply())
	second.sends("XREADGROUP GROUP g d BLOCK 60000 CLAIM 50000 STREAMS s >\r\n")
	awaitBlocked(t, s, 1)
	assert.Equal(t, ":1", other.do("XNACK s g SILENT IDS 1 1-0"))
	assert.Equal(t, "[[s [[1-0 [a 1] :0 :1]]]]", second.reply())
	second.sends("XREADGROUP GROUP g d BLOCK 3000 CLAIM 50000 STREAMS s >\r\n")
	awaitBlocked(t, s, 1)
	store.ms.Store(9000)
	s.Tick()
	assert.Equal(t, "null array", second.reply())
	awaitBlocked(t, s, 0)
}

// What a consumer gets by CLAIM has four elements, claimed or new.
func TestClaimedEntriesHaveFourElements(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, 1)
	p := pipes[0]
	p.do("XGROUP CREATE s g $ MKSTREAM")
	for i := range 5 {
		p.do("XADD s %d-0 a %d", i+1, i)
	}
	p.do("XREADGROUP GROUP g dead COUNT 3 STREAMS s >")
	store.ms.Store(3000)
	p.do("XDEL s 2-0")
	for _, step := range [][2]string{
		{"XREADGROUP GROUP g c COUNT 3 CLAIM 1500 STREAMS s >", "[[s [[1-0 [a 0] :2000 :1] [3-0 [a 2] :2000 :1] [4-0 [a 3] :0 :0]]]]"},
		{"XPENDING s g - + 10", "[[1-0 c :0 :2] [3-0 c :0 :2] [4-0 c :0 :1]]"},
		{"XREADGROUP GROUP g d MAXCOUNT 2 CLAIM 0 NOACK STREAMS s >", "[[s [[1-0 [a 0] :0 :2] [3-0 [a 2] :0 :2]]]]"},
		{"XREADGROUP GROUP g d CLAIM 10 NOACK STREAMS s >", "[[s [[5-0 [a 4] :0 :0]]]]"},
		{"XPENDING s g", "[:3 1-0 4-0 [[c 1] [d 2]]]"},
		{"XREADGROUP GROUP g d CLAIM 0 STREAMS s 0", "[[s [[1-0 [a 0]] [3-0 [a 2]]]]]"},
	} {
		assert.Equal(t, step[1], p.do("%s", step[0]), step[0])
	}
	s.runOnCore(func(broker.View) {
		again := stream.New()
		for _, r := range store.all() {
			require.NoError(t, again.ApplyRecord(r))
		}
		assert.Equal(t, s.streams.state.Digest(), again.Digest())
	})
}

// A consumer claims some of many entries, in the order in which they became idle: those of one place in the log are read together, and
// what lies between is in no reply.
func TestClaimsOfSomeOfMany(t *testing.T) {
	value := func(i int) string {
		if i%90 == 0 {
			return strings.Repeat("x", maxBytesBetween)
		}
		return strings.Repeat("x", 1+i%20)
	}
	entry := func(i, delivered int) string {
		return fmt.Sprintf("[%d-0 [a %s] :5000 :%d]", i, value(i), delivered)
	}
	orders := map[string][]int{
		"ascending": {3, 5, 9, 40, 90, 91, 180, 181, 270, 299}, "descending": {280, 200, 100, 20, 1}, "mixed": {5, 4, 6, 3, 290, 291, 1, 300},
		"all": nil, "one": {90},
	}
	for i := range 300 {
		orders["all"] = append(orders["all"], i+1)
	}
	for name, order := range orders {
		for _, where := range []string{"in memory", "in files", "in a transaction"} {
			t.Run(name+" "+where, func(t *testing.T) {
				store := newTestStore()
				_, pipes := newStreams(t, store, 1)
				p := pipes[0]
				for i := range 300 {
					p.do("XADD s %d-0 a %s", i+1, value(i+1))
				}
				p.do("XGROUP CREATE s g 0")
				p.do("XREADGROUP GROUP g dead STREAMS s >")
				for at, i := range order { // the one that was delivered first is claimed first
					p.do("XCLAIM s g dead 0 %d-0 TIME %d JUSTID", i, at+1)
				}
				store.ms.Store(int64(len(order)) + 5000)
				store.onDisk.Store(where == "in files")
				want, again := []string{}, []string{}
				for at, i := range order {
					want = append(want, strings.Replace(entry(i, 1), ":5000", fmt.Sprint(":", len(order)+5000-at-1), 1))
					again = append(again, fmt.Sprintf("[%d-0 [a %s]]", i, value(i)))
				}
				ids := make([]string, len(order))
				for at, i := range order {
					ids[at] = fmt.Sprintf("%d-0", i)
				}
				commands := [][2]string{
					{"XREADGROUP GROUP g heir COUNT %d CLAIM 5000 STREAMS s >", "[[s [" + strings.Join(want, " ") + "]]]"},
					{"XCLAIM s g other 0 " + strings.Join(ids, " "), "[" + strings.Join(again, " ") + "]"},
				}
				commands[0][0] = fmt.Sprintf(commands[0][0], len(order))
				for _, c := range commands {
					if where != "in a transaction" {
						assert.Equal(t, c[1], p.do("%s", c[0]))
						continue
					}
					p.do("MULTI")
					p.do("%s", c[0])
					assert.Equal(t, "["+c[1]+"]", p.do("EXEC"))
				}
			})
		}
	}
}

// With CLAIM new entries come with those behind them encoded ahead, as without it.
func TestNewEntriesBesideClaims(t *testing.T) {
	for _, onDisk := range []bool{false, true} {
		store := newTestStore()
		_, pipes := newStreams(t, store, 1)
		p := pipes[0]
		for i := range 300 {
			p.do("XADD s %d-0 a %d", i+1, i)
		}
		p.do("XGROUP CREATE s g 0")
		store.onDisk.Store(onDisk)
		for i := 0; i < 300; {
			var want []string
			for range 1 + i%7 {
				if i < 300 {
					want = append(want, fmt.Sprintf("[%d-0 [a %d] :0 :0]", i+1, i))
				}
				i++
			}
			require.Equal(t, "[[s ["+strings.Join(want, " ")+"]]]", p.do("XREADGROUP GROUP g c COUNT %d CLAIM 1000 STREAMS s >", len(want)))
		}
	}
}

// Entries of a history that do not follow each other come in their order, deleted ones without fields.
func TestHistoryWithGaps(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 1)
	p := pipes[0]
	p.do("XGROUP CREATE s g $ MKSTREAM")
	for i := range 60 {
		p.do("XADD s %d-0 a %s", i+1, strings.Repeat("x", i*7))
	}
	p.do("XREADGROUP GROUP g c STREAMS s >")
	var want []string
	for i := range 60 {
		switch {
		case i%3 == 0:
			p.do("XACK s g %d-0", i+1)
		case i%7 == 0:
			p.do("XDEL s %d-0", i+1)
			want = append(want, fmt.Sprintf("[%d-0 null array]", i+1))
		default:
			want = append(want, fmt.Sprintf("[%d-0 [a %s]]", i+1, strings.Repeat("x", i*7)))
		}
	}
	all := "[[s [" + strings.Join(want, " ") + "]]]"
	assert.Equal(t, all, p.do("XREADGROUP GROUP g c STREAMS s 0"))
	for _, command := range []string{"MULTI", "XREADGROUP GROUP g c STREAMS s 0"} {
		p.do("%s", command)
	}
	assert.Equal(t, "["+all+"]", p.do("EXEC"))
}

// An acknowledgement of very many ids comes in pieces, and is one number.
func TestManyIDsAreAcknowledged(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 1)
	p := pipes[0]
	p.do("XGROUP CREATE s g $ MKSTREAM")
	ids := make([]string, 2500)
	for i := range ids {
		ids[i] = fmt.Sprintf("%d-0", i+1)
		p.do("XADD s %s a 1", ids[i])
	}
	assert.NotEqual(t, "null array", p.do("XREADGROUP GROUP g c STREAMS s >"))
	assert.Equal(t, "-ERR Invalid stream ID specified as stream command argument", p.do("XACK s g %s x", strings.Join(ids, " ")))
	assert.Equal(t, ":2500", p.do("XACK s g %s 9999-0", strings.Join(ids, " ")))
	assert.Equal(t, "[:0 null null null array]", p.do("XPENDING s g"))
}

// What becomes pending takes memory: without room nothing is delivered.
func TestGroupsNeedRoom(t *testing.T) {
	store := newTestStore()
	_, pipes := newStreams(t, store, 1)
	p := pipes[0]
	p.do("XADD s 1-0 a 1")
	p.do("XGROUP CREATE s g 0")
	store.full.Store(true)
	const oom = "-OOM command not allowed when used memory > 'maxmemory'."
	for _, command := range []string{
		"XGROUP CREATE s h 0", "XGROUP CREATECONSUMER s g c", "XREADGROUP GROUP g c STREAMS s >", "XCLAIM s g c 0 1-0 FORCE", "XNACK s g FAIL IDS 1 1-0 FORCE",
		"XAUTOCLAIM s g c 0 0", "XREADGROUP GROUP g c NOACK STREAMS s >", "XREADGROUP GROUP g c STREAMS s 0", // they would make the consumer
	} {
		assert.Equal(t, oom, p.do("%s", command), command)
	}
	assert.Equal(t, ":0", p.do("XACK s g 1-0"))
	store.full.Store(false)
	assert.Equal(t, "[[s [[1-0 [a 1]]]]]", p.do("XREADGROUP GROUP g c STREAMS s >"))
	store.full.Store(true)
	assert.Equal(t, ":1", p.do("XACK s g 1-0"), "what gives room is never refused")
}

// Names of groups and consumers come back in many replies: long ones are refused, and nothing is delivered to them.
func TestLongNamesOfGroups(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 1)
	p := pipes[0]
	longest := strings.Repeat("n", stream.MaxGroupName)
	p.do("XADD s 1-0 a 1")
	assert.Equal(t, "+OK", p.do("XGROUP CREATE s g 0"))
	assert.Equal(t, "-ERR the name of a group has 4097 bytes; the most is 4096", p.do("XGROUP CREATE s %sn 0", longest))
	for _, command := range []string{
		"XGROUP CREATECONSUMER s g %sn", "XREADGROUP GROUP g %sn BLOCK 0 STREAMS s >", "XREADGROUP GROUP g %sn NOACK STREAMS s >",
		"XREADGROUP GROUP g %sn STREAMS s 0", "XCLAIM s g %sn 0 1-0 FORCE", "XAUTOCLAIM s g %sn 0 0",
	} {
		assert.Equal(t, "-ERR the name of a consumer has 4097 bytes; the most is 4096", p.do(command, longest), command)
	}
	assert.Equal(t, "[:0 null null null array]", p.do("XPENDING s g"))
	assert.Equal(t, "+OK", p.do("XGROUP CREATE s %s 0", longest))
	assert.Equal(t, "[[s [[1-0 [a 1]]]]]", p.do("XREADGROUP GROUP %s %s STREAMS s >", longest, longest))
	assert.Equal(t, ":0", p.do("XGROUP DELCONSUMER s g %sn", longest), "what is not there is no error")
}

// An entry that is deleted while it is pending goes to no consumer that claims it, and is pending no more.
func TestClaimsOfDeletedEntries(t *testing.T) {
	for _, claim := range [][2]string{
		{"XCLAIM s g d 0 1-0 2-0", "[[2-0 [a 2]]]"}, {"XCLAIM s g d 0 1-0 2-0 JUSTID", "[2-0]"}, {"XCLAIM s g d 0 1-0 2-0 FORCE", "[[2-0 [a 2]]]"},
		{"XAUTOCLAIM s g d 0 0", "[0-0 [[2-0 [a 2]]] [1-0]]"}, {"XREADGROUP GROUP g d CLAIM 0 STREAMS s >", "[[s [[2-0 [a 2] :0 :2]]]]"},
	} {
		_, pipes := newStreams(t, newTestStore(), 1)
		p := pipes[0]
		p.do("XGROUP CREATE s g 0 MKSTREAM")
		p.do("XADD s 1-0 a 1")
		p.do("XADD s 2-0 a 2")
		p.do("XREADGROUP GROUP g c STREAMS s >")
		assert.Equal(t, ":1", p.do("XDEL s 1-0"))
		assert.Equal(t, "[[s [[1-0 null array] [2-0 [a 2]]]]]", p.do("XREADGROUP GROUP g c STREAMS s 0"))
		assert.Equal(t, claim[1], p.do("%s", claim[0]), claim[0])
		assert.Equal(t, "[:1 2-0 2-0 [[d 1]]]", p.do("XPENDING s g"), claim[0])
		assert.Equal(t, ":0", p.do("XACK s g 1-0"), claim[0])
	}
}

// Entries that are encoded ahead are those of the stream, whatever comes between, and what is deleted meanwhile is left out.
func TestGroupsReadAhead(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 1)
	p := pipes[0]
	var want []string
	for i := range 400 {
		for _, key := range []string{"s", "t"} {
			value := strings.Repeat(key, 1+i%50)
			if i%97 == 0 {
				value = strings.Repeat(key, 20_000)
			}
			p.do("XADD %s %d-0 v %s", key, i+1, value)
		}
	}
	for _, key := range []string{"s", "t"} {
		p.do("XGROUP CREATE %s g 0", key)
	}
	for i := range 400 {
		if i%7 == 3 {
			p.do("XDEL s %d-0", i+1)
			continue
		}
		want = append(want, fmt.Sprintf("%d-0", i+1))
		if i%5 == 0 {
			p.do("XREADGROUP GROUP g c COUNT 3 STREAMS t >")
		}
		p.do("XADD s %d-0 v more", 1000+i)
		reply := p.do("XREADGROUP GROUP g c COUNT 1 STREAMS s >")
		value := strings.Repeat("s", 1+i%50)
		if i%97 == 0 {
			value = strings.Repeat("s", 20_000)
		}
		require.Equal(t, fmt.Sprintf("[[s [[%d-0 [v %s]]]]]", i+1, value), reply)
	}
	assert.Equal(t, fmt.Sprint(":", len(want)), p.do("XACK s g %s", strings.Join(want, " ")))
}

// Of entries in files, a filler reads more than it was asked for, and consumers get these without another read. What is deleted meanwhile
// is left out, and an entry that is too large for that comes by itself.
func TestGroupsReadAheadInFiles(t *testing.T) {
	store := newTestStore()
	var reads atomic.Int64
	store.onRead = func() { reads.Add(1) }
	_, pipes := newStreams(t, store, 1)
	p := pipes[0]
	value := func(i int) string {
		if i%100 == 50 {
			return strings.Repeat("x", 2*maxUpcoming)
		}
		return strings.Repeat("x", 1+i%50)
	}
	for i := range 400 {
		p.do("XADD s %d-0 v %s", i+1, value(i))
	}
	p.do("XGROUP CREATE s g 0")
	store.onDisk.Store(true)
	reads.Store(0)
	var want []string
	for i := range 400 {
		if i%7 == 3 {
			p.do("XDEL s %d-0", i+1)
			continue
		}
		want = append(want, fmt.Sprintf("[%d-0 [v %s]]", i+1, value(i)))
	}
	var got []string
	for n := 0; len(got) < len(want); n++ {
		next := want[len(got):min(len(got)+1+n%5, len(want))]
		require.Equal(t, "[[s ["+strings.Join(next, " ")+"]]]", p.do("XREADGROUP GROUP g c COUNT %d STREAMS s >", 1+n%5))
		got = append(got, next...)
	}
	assert.Less(t, reads.Load(), int64(30), "the four large entries, and what is around them")
	store.damaged.Store(true)
	p.do("XADD s 401-0 v 1")
	assert.Contains(t, p.do("XREADGROUP GROUP g c STREAMS s >"), "entries cannot be read")
}

package command

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const readEpoch = "ef86d081884c7d65"

// newReadable makes a service with a store for READ, and some connections.
func newReadable(t *testing.T, store *testStore, n int) (*Service, []*pipe) {
	s := newService(t, Options{Unprotected: true, Store: store, Epoch: readEpoch})
	return s, servePipesOf(t, s, n)
}

// addMany adds entries to streams in turn: entry i, from 1 on, has the sequence number i.
func (p *pipe) addMany(entries, streams int, value string) {
	p.t.Helper()
	const atOnce = 500
	for from := 1; from <= entries; from += atOnce {
		var b strings.Builder
		to := min(entries, from+atOnce-1)
		for i := from; i <= to; i++ {
			fmt.Fprintf(&b, "XADD s%d %d-1 n %d v %s\r\n", i%streams, i, i, value)
		}
		sent := p.sendsAll(b.String())
		for i := from; i <= to; i++ {
			require.Equal(p.t, fmt.Sprintf("%d-1", i), p.reply())
		}
		<-sent
	}
}

// resp sends words as a RESP command: as a line, READ has another reply.
func (p *pipe) resp(format string, args ...any) string {
	p.t.Helper()
	words := strings.Fields(fmt.Sprintf(format, args...))
	text := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	p.sends(text)
	return p.reply()
}

// pages reads from a command on, page after page, and returns the positions at which they end and the numbers of the entries.
func (p *pipe) pages(names, from, rest string) (ends, entries []string) {
	p.t.Helper()
	for {
		reply := p.resp("READ %s %s %s", names, from, rest)
		require.True(p.t, strings.HasPrefix(reply, "["+readEpoch+"-"), "%.200s", reply)
		next, _, _ := strings.Cut(reply[1:], " ")
		ends = append(ends, next[17:])
		for _, row := range strings.Split(reply, "[n ")[1:] {
			n, _, _ := strings.Cut(row, " ")
			entries = append(entries, n)
		}
		if strings.HasSuffix(reply, ":1]") {
			return ends, entries
		}
		require.Less(p.t, len(ends), 10_000)
		from = "FROM " + next
	}
}

func numbers(from, to int) (all []string) {
	for i := from; i <= to; i++ {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

// A page ends by its count, and the next one goes on behind it: few streams, which are merged, and many, for which the log is read.
func TestReadPages(t *testing.T) {
	store := newTestStore()
	_, pipes := newReadable(t, store, 1)
	p := pipes[0]
	p.addMany(500, 50, "x")
	for _, test := range []struct{ names, from, rest string }{
		{"*", "", "COUNT 7"}, {"s*", "FROM 0", "COUNT 500"}, {"s*", "LAST 500", ""}, {"*", "LAST 10000", "COUNT 101"}, {"s* s1 s2", "", ""},
	} {
		ends, entries := p.pages(test.names, test.from, test.rest)
		assert.Equal(t, numbers(1, 500), entries, test)
		assert.Equal(t, "501", ends[len(ends)-1], test)
	}
	for _, test := range []struct {
		names, from, rest string
		want              []string
	}{
		{"s1", "", "COUNT 1", []string{"1", "51", "101", "151", "201", "251", "301", "351", "401", "451"}},
		{"s1", "FROM #52", "COUNT 3", []string{"101", "151", "201", "251", "301", "351", "401", "451"}},
		{"s1 s2", "FROM #402", "", []string{"402", "451", "452"}},
		{"s1 s2 none", "LAST 3", "COUNT 1", []string{"402", "451", "452"}},
		{"s[12]", "LAST 2", "WHERE n < 300", []string{"251", "252"}},
		{"*", "LAST 2", "WHERE n < 300", []string{"298", "299"}},
		{"*", "FROM #490", "WHERE n % 5 == 0", []string{"490", "495", "500"}},
		{"s3", "FROM 350-0", "", []string{"353", "403", "453"}},
		{"*", "FROM #501", "", nil}, {"s1", "FROM #501", "", nil}, {"none", "", "", nil}, {"no*", "LAST 5", "", nil},
		{"s1", "FROM -1s", "COUNT 1000", []string{"1", "51", "101", "151", "201", "251", "301", "351", "401", "451"}},
		{"s*", "FROM 2099-01-01T00:00:00Z", "", nil},
	} {
		_, entries := p.pages(test.names, test.from, test.rest)
		assert.Equal(t, test.want, entries, test)
	}
	eventually(t, func() bool { return store.pins.Load() == 0 }, "all pins are released")
}

// A page looks at a bounded number of entries: a predicate that matches nothing makes progress, page by page.
func TestAPageThatShowsNothingGoesOn(t *testing.T) {
	_, pipes := newReadable(t, newTestStore(), 1)
	p := pipes[0]
	p.addMany(2*maxLooked+10_000, 20, "x")
	for _, names := range []string{"*", "s7"} {
		ends, entries := p.pages(names, "", "WHERE n < 0")
		assert.Empty(t, entries)
		if names == "*" {
			assertPages(t, ends, 2*maxLooked+10_000)
		}
	}
}

// assertPages checks that no page of n entries has looked at many more than maxLooked. One may end earlier: pieces of the log are small where
// it was written in small groups.
func assertPages(t *testing.T, ends []string, n int) {
	t.Helper()
	before := 1
	for _, end := range ends {
		next, err := strconv.Atoi(end)
		require.NoError(t, err)
		assert.Greater(t, next, before)
		assert.LessOrEqual(t, next-before, maxLooked+maxChecked)
		before = next
	}
	assert.Equal(t, n+1, before)
}

// A page has about maxPage bytes at most, but for a single entry that is larger.
func TestAPageIsBoundedInBytes(t *testing.T) {
	_, pipes := newReadable(t, newTestStore(), 1)
	p := pipes[0]
	p.addMany(300, 20, strings.Repeat("x", 10_000))
	ends, entries := p.pages("*", "", "COUNT 1000000")
	assert.Equal(t, numbers(1, 300), entries)
	assert.Len(t, ends, 3)
	ends, entries = p.pages("s1", "", "COUNT 1000000")
	assert.Len(t, entries, 15)
	assert.Len(t, ends, 1)
	for range 3 {
		require.NotEmpty(t, p.do("XADD large * n 1 v %s", strings.Repeat("y", 60_000)))
	}
	ends, _ = p.pages("large", "", "COUNT 1000000")
	assert.Len(t, ends, 1)
}

// What is broken costs its entries alone: the page ends in front of it, the next one is an error that has the position behind it. That holds
// wherever a page ends.
func TestReadReportsDamage(t *testing.T) {
	for _, test := range []struct {
		names   string
		damaged [2]int64
	}{
		{"*", [2]int64{20, 20}},
		{"*", [2]int64{19, 21}}, // in one piece of the log
		{"s0", [2]int64{20, 20}},
		{"s0 s1", [2]int64{20, 20}},
	} {
		for _, count := range []int{1, 2, 3, 5, 1000} {
			t.Run(fmt.Sprint(test.names, test.damaged, count), func(t *testing.T) { requireDamageReported(t, test.names, test.damaged, count) })
		}
	}
}

func requireDamageReported(t *testing.T, names string, damaged [2]int64, count int) {
	store := newTestStore()
	_, pipes := newReadable(t, store, 1)
	p := pipes[0]
	for i := 1; i <= 40; i++ {
		require.Equal(t, fmt.Sprintf("%d-1", i), p.do("XADD s%d %d-1 n %d v x", i%20, i, i)) // a record each
	}
	_, whole := p.pages(names, "", "")
	var want []string
	for _, n := range whole {
		if n != fmt.Sprint(damaged[0]) && n != fmt.Sprint(damaged[1]) {
			want = append(want, n)
		}
	}
	for i := range damaged {
		store.damagedRecords[i].Store(damaged[i])
	}
	var got []string
	for from, failures := "", len(whole)-len(want); ; {
		reply := p.resp("READ %s %s COUNT %d", names, from, count)
		if strings.HasPrefix(reply, "-") {
			require.Regexp(t, `^-ERR entries cannot be read: segment 1, offset 64: damaged; what is behind it: FROM `+readEpoch+`-\d+$`, reply)
			from = reply[strings.LastIndex(reply, "FROM"):]
			failures--
			require.GreaterOrEqual(t, failures, 0)
			continue
		}
		next, _, _ := strings.Cut(reply[1:], " ")
		for _, row := range strings.Split(reply, "[n ")[1:] {
			n, _, _ := strings.Cut(row, " ")
			got = append(got, n)
		}
		if from = "FROM " + next; strings.HasSuffix(reply, ":1]") {
			assert.Zero(t, failures, "all damages are reported")
			break
		}
	}
	assert.Equal(t, want, got)
	_, last := p.pages(names, "LAST 1", "")
	assert.Equal(t, whole[len(whole)-1:], last, "what is behind the damage")
}

// A client that never reads holds a page or two, and other clients go on.
func TestReadersThatNeverRead(t *testing.T) {
	store := newTestStore()
	s, pipes := newReadable(t, store, 101)
	p := pipes[0]
	p.addMany(2000, 100, strings.Repeat("x", 2000))
	base := s.memory.Used()
	for _, other := range pipes[1:] {
		other.sendsAll(strings.Repeat("READ * COUNT 1000000\r\n", 20))
	}
	eventually(t, func() bool {
		for _, other := range pipes[1:] {
			if other.outbox.FilledBytes() == 0 {
				return false
			}
		}
		return true
	}, "each has a page")
	assert.Equal(t, "+PONG", p.do("PING"))
	_, entries := p.pages("s5", "", "")
	assert.Len(t, entries, 20)
	for _, other := range pipes[1:] {
		assert.LessOrEqual(t, other.outbox.FilledBytes(), int64(maxFilled+maxPage+1<<16))
	}
	assert.LessOrEqual(t, s.memory.Used()-base, int64(100*(maxFilled+maxPage+1<<18)))
	for _, other := range pipes[1:] {
		_ = other.sock.Close()
	}
	eventually(t, func() bool { return store.pins.Load() == 0 }, "all scans are released")
}

// A page that is being made counts as memory, whether it has a slot or not, and no longer than that.
func TestPagesCountAsMemory(t *testing.T) {
	store := newTestStore()
	s, pipes := newReadable(t, store, 1)
	pipes[0].addMany(500, 50, "x")
	base := s.memory.Used()
	store.gate = make(chan struct{})
	pipes[0].sends("READ * COUNT 100000\r\n")
	eventually(t, func() bool { return store.pins.Load() > 0 }, "it reads")
	assert.Greater(t, s.memory.Used()-base, int64(maxPage))
	close(store.gate)
	for range 500 {
		require.Contains(t, pipes[0].line(), "ENTRY s")
	}
	require.Contains(t, pipes[0].line(), "OK READ 500 END")
	eventually(t, func() bool { return s.memory.Used() <= base+1<<16 }, "nothing of it counts any more")
}

// A page that has shown the last entry is at the end, whatever ended it.
func TestThePageOfTheLastEntryIsAtTheEnd(t *testing.T) {
	_, pipes := newReadable(t, newTestStore(), 1)
	p := pipes[0]
	p.addMany(40, 20, "x")
	for _, names := range []string{"*", "s0"} {
		for _, from := range []string{"LAST 1", "FROM #40 COUNT 1"} {
			ends, entries := p.pages(names, from, "")
			assert.Equal(t, []string{"40"}, entries)
			assert.Equal(t, []string{"41"}, ends)
		}
	}
}

// The end of a connection ends its READ, and so does that of the core.
func TestTheEndOfAConnectionEndsItsRead(t *testing.T) {
	store := newTestStore()
	_, pipes := newReadable(t, store, 2)
	pipes[0].addMany(500, 50, "x")
	store.gate = make(chan struct{})
	pipes[1].sends("READ *\r\n")
	eventually(t, func() bool { return store.pins.Load() > 0 }, "it reads")
	_ = pipes[1].sock.Close()
	close(store.gate)
	eventually(t, func() bool { return store.pins.Load() == 0 }, "the scan is released")
}

// Before AUTH no predicate is compiled, and nothing is read.
func TestReadBeforeAuth(t *testing.T) {
	s := newService(t, Options{Unprotected: true, Store: newTestStore(), RequirePassword: "pw"})
	p := serveOn(t, s)
	assert.Equal(t, "-NOAUTH Authentication required.", p.resp("READ * WHERE ("))
	p.sends("READ * WHERE ((((\r\n")
	assert.Equal(t, "NOAUTH authentication required; type: AUTH user password", p.line())
}

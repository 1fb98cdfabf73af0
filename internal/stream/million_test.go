//go:build unix

package stream

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var largeFlag = flag.Bool("large", false, "a million streams and 100 million ids, with times; else a tenth and less, without")

// A stream of one entry takes less than 240 bytes beside its name. Decision 029 allows 269.
func TestBytesForEachStream(t *testing.T) {
	streams := 100_000
	if *largeFlag {
		streams = 1_000_000
	}
	before := heap()
	s, c := New(), &Change{}
	for i := range streams {
		c.Reset()
		c.Time = int64(i/10 + 1)
		_, err := s.PlanAdd(c, fmt.Appendf(nil, "stream:%08d", i), &AddOptions{Auto: true})
		require.NoError(t, err)
		s.Apply(c)
	}
	each := float64(heap()-before) / float64(streams)
	t.Logf("%.0f bytes for each of %d streams, of it 16 for the name; Memory gives %d", each, streams, s.Memory()/int64(streams))
	assert.Less(t, each, 240.0+16)
	if *largeFlag {
		logCheckpoint(t, s)
		logFrozen(t, s, streams)
	}
	runtime.KeepAlive(s)
}

// The ids of a stream of 100 million entries, their checkpoint, and opening it.
func TestAHundredMillionIDs(t *testing.T) {
	if !*largeFlag {
		t.Skip("it takes a minute: -large")
	}
	const n = 100_000_000
	before := heap()
	s, c := New(), &Change{}
	r := rand.New(rand.NewPCG(1, 2))
	at, start := 0.0, cpuTime()
	for range n {
		at += r.ExpFloat64()
		c.Reset()
		c.Time = int64(at) + 1
		_, _ = s.PlanAdd(c, []byte("a"), &AddOptions{Auto: true})
		s.Apply(c)
	}
	each := float64(heap()-before) / n
	t.Logf("%.2f bytes each, %v to add one", each, since(start)/n)
	assert.Less(t, each, 2.0)
	logCheckpoint(t, s)
	st := s.Lookup([]byte("a"))
	logTime(t, "seek", 1000, func(int) { st.Exists(ID{r.Uint64N(n), 0}) })
	logTime(t, "delete one of 200,000", 200_000, func(int) {
		c.Reset()
		if s.PlanDelete(c, st, []ID{{r.Uint64N(n), 0}}) > 0 {
			s.Apply(c)
		}
	})
	t.Logf("%.2f bytes each behind the deletes", float64(heap()-before)/n)
	logTime(t, "range of 100 between dead ones", 1000, func(int) {
		all := st.Range(ID{r.Uint64N(n), 0}, MaxID, 100, false)
		all.Each(func(uint64, ID) bool { return true })
	})
	for _, left := range []uint64{uint64(st.Len()) - 100, uint64(st.Len()) - 25_000_000, 0} {
		logTime(t, fmt.Sprint("trim to ", left), 1, func(int) {
			c.Reset()
			s.PlanTrim(c, st, &TrimOptions{Kind: TrimMaxLen, MaxLen: left})
			s.Apply(c)
		})
	}
}

// cpuTime is what this thread has computed. The time of day says little on a machine that does other things.
func cpuTime() time.Duration {
	runtime.LockOSThread()
	var u syscall.Rusage
	_ = syscall.Getrusage(1, &u) // RUSAGE_THREAD
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func since(start time.Duration) time.Duration { return cpuTime() - start }

// logFrozen measures what a checkpoint that is being collected costs the changes that come meanwhile.
func logFrozen(t *testing.T, s *Streams, streams int) {
	c, r := &Change{}, rand.New(rand.NewPCG(1, 2))
	names := make([][]byte, 200_000)
	for i := range names {
		names[i] = fmt.Appendf(nil, "stream:%08d", r.IntN(streams))
	}
	add := func(i int) {
		c.Reset()
		c.Time = s.Time()
		_, _ = s.PlanAdd(c, names[i], &AddOptions{Auto: true})
		s.Apply(c)
	}
	logTime(t, "add to one of a million, first time", len(names), add)
	logTime(t, "again", len(names), add)
	checkpoint := s.Freeze(true)
	logTime(t, "first time under a checkpoint", len(names), add)
	logTime(t, "again", len(names), add)
	start := cpuTime()
	part, _ := checkpoint.Collect(1, nil)
	t.Logf("visit after that: %v, %d bytes of %d streams that changed", since(start), len(part.small.full)*(sectionSize/4), checkpoint.count)
	checkpoint.Drop()
}

func logTime(t *testing.T, what string, n int, f func(i int)) {
	start := cpuTime()
	for i := range n {
		f(i)
	}
	t.Logf("%s: %v", what, since(start)/time.Duration(n))
}

// logCheckpoint writes a base and reads it again, and the same bytes into new memory without a look at them. The longest visit of the
// core is what matters to clients.
func logCheckpoint(t *testing.T, s *Streams) {
	file, err := os.Create(t.TempDir() + "/checkpoint")
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	start, visit, longest, size := cpuTime(), time.Duration(0), time.Duration(0), int64(0)
	c := s.Freeze(true)
	var part *Part
	for done := false; !done; {
		before := cpuTime()
		part, done = c.Collect(1000, part)
		took := since(before)
		visit, longest = visit+took, max(longest, took)
		n, err := part.WriteTo(file)
		require.NoError(t, err)
		size += n
	}
	c.Saved()
	t.Logf("checkpoint: %d bytes in %v, of it %v on the core, %v at once", size, since(start), visit, longest)
	for range 3 {
		_, _ = file.Seek(0, io.SeekStart)
		start = cpuTime()
		raw, rest := make([][]byte, 0, 1000), size
		for rest > 0 {
			raw = append(raw, make([]byte, min(rest, 256<<10)))
			n, err := io.ReadFull(file, raw[len(raw)-1])
			require.NoError(t, err)
			rest -= int64(n)
		}
		t.Logf("a plain read in %v", since(start))
		_, _ = file.Seek(0, io.SeekStart)
		start = cpuTime()
		again, err := Load(file)
		t.Logf("opened in %v", since(start))
		require.NoError(t, err)
		runtime.KeepAlive(raw)
		if size < 50<<20 {
			require.Equal(t, s.Digest(), again.Digest())
		}
	}
}

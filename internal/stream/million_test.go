package stream

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var largeFlag = flag.Bool("large", false, "a million streams and 100 million ids, with times; else a tenth and less, without")

// A stream of one entry takes at most 269 bytes beside its name (decision 029).
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
	assert.Less(t, each, 269.0+16)
	if *largeFlag {
		logCheckpoint(t, s)
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

func logTime(t *testing.T, what string, n int, f func(i int)) {
	start := cpuTime()
	for i := range n {
		f(i)
	}
	t.Logf("%s: %v", what, since(start)/time.Duration(n))
}

// logCheckpoint writes a base and reads it again. The longest visit of the core is what matters.
func logCheckpoint(t *testing.T, s *Streams) {
	file := bytes.NewBuffer(make([]byte, 0, 256<<20))
	start, visit, longest := cpuTime(), time.Duration(0), time.Duration(0)
	c := s.Freeze(true)
	for done := false; !done; {
		var part *Part
		before := cpuTime()
		part, done = c.Collect(1000)
		took := since(before)
		visit, longest = visit+took, max(longest, took)
		_, _ = part.WriteTo(file)
	}
	c.Saved()
	t.Logf("checkpoint: %d bytes in %v, of it %v on the core, %v at once", file.Len(), since(start), visit, longest)
	start = cpuTime()
	again, err := Load(bytes.NewReader(file.Bytes()))
	t.Logf("opened in %v", since(start))
	start = cpuTime()
	raw := make([][]byte, 0, file.Len()/(256<<10)+1)
	for r := bytes.NewReader(file.Bytes()); r.Len() > 0; {
		raw = append(raw, make([]byte, min(r.Len(), 256<<10)))
		_, _ = r.Read(raw[len(raw)-1])
	}
	t.Logf("a plain copy into new memory in %v", since(start))
	require.NoError(t, err)
	start = cpuTime()
	assert.Equal(t, s.Digest(), again.Digest())
	t.Logf("two digests in %v", since(start))
}

package log

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The machine goes off in the middle of rewriting: each visible entry is there once, in order, and nothing is reported as damaged.
func TestCrashDuringRewriting(t *testing.T) {
	r := newRand(t)
	crashes := 0
	for range 30 {
		n, problem := rewriteCrashRun(r.Uint64(), "")
		require.Empty(t, problem)
		crashes += n
	}
	t.Logf("%d crashes", crashes)
	assert.Greater(t, crashes, 20)
}

// rewriteCrashRun lets the machine go off a few times while segments are removed and written again. It returns how often that came in the
// middle, and what was wrong afterwards.
func rewriteCrashRun(seed uint64, ignored string) (crashes int, problem string) {
	r := rand.New(rand.NewPCG(seed, 3))
	d := newDisk()
	d.ignored = ignored
	o := Options{Files: d, SegmentSize: 4_000, Recent: 1, Fsync: Always}
	e := newEntries(r)
	const keys = 5
	for range 4 {
		if problem := e.reopen(o); problem != "" {
			return crashes, problem
		}
		for range 100 {
			e.append(r.IntN(60), 1+r.Uint64N(keys))
		}
		e.removeRandom(keys)
		e.remove(1, 0, max(e.last[1], 20)-20) // the rest of a run becomes one segment
		last := e.Last()
		if err := e.CutHead(last + 1); err != nil {
			return crashes, err.Error()
		}
		e.head = last + 1
		if err := e.awaitSyncer(); err != nil {
			return crashes, err.Error()
		}
		if r.IntN(3) == 0 { // segments that are nearly whole, too
			e.Compact()
		}
		d.mu.Lock()
		d.stopAt = d.steps + 1 + r.IntN(15)
		d.mu.Unlock()
		if e.giveBack() != nil {
			crashes++
		}
		_ = e.Close() // the machine may be off
		if r.IntN(4) == 0 {
			d.kill()
		} else {
			d.powerOff(r)
		}
	}
	problem = e.reopen(o)
	if problem == "" {
		_ = e.Close() // nothing was appended
	}
	return crashes, problem
}

// reopen opens the log, and describes what is wrong with it.
func (e *entries) reopen(o Options) string {
	o.Spans = parseSpans
	l, recovery, err := Open(o, e.head-1, func(Record) error { return nil })
	if err != nil {
		return err.Error()
	}
	e.Log = l
	l.o.Live, l.o.Keep = e.live, keepSpans
	problem := ""
	if len(recovery.Damages) > 0 {
		problem = fmt.Sprint(recovery.Damages)
	}
	for key := uint64(1); key <= 5 && problem == ""; key++ {
		problem = e.compareRange(key, 0, math.MaxUint64)
	}
	if problem != "" {
		_ = l.Close() // the problem is another
	}
	return problem
}

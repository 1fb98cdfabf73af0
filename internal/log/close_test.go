package log

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Behind a clean stop, a start that needs no record reads neither records nor what was allocated ahead, and goes on in the last segment.
func TestAStartBehindACleanStopReadsLittle(t *testing.T) {
	memory := NewMemory(0)
	files := &countingFiles{Files: keep{memory}}
	o := Options{Files: files, SegmentSize: 4 << 20, Recent: 1}
	e := openEntries(t, newRand(t), o)
	for life := range 4 {
		for range 1500 {
			e.append(e.r.IntN(300), 1+e.r.Uint64N(3))
		}
		require.NoError(t, e.Close())
		names, err := memory.List()
		require.NoError(t, err)
		e.head = e.Last() + 1
		files.read.Store(0)
		e.open(t, o)
		assert.Less(t, files.read.Load(), int64(40<<10), "the index")
		assert.True(t, e.recovered.Clean)
		if life < 3 {
			assert.Len(t, e.view.segments, 1, "it goes on in the same segment")
			assert.Len(t, names, 2, "with log.meta")
		}
		e.requireRandomRanges(t, 20, 3)
	}
	require.NoError(t, e.Close())
}

// An index that a clean stop has written and that is not whole is made again; the next start begins a segment.
func TestABrokenIndexBehindACleanStop(t *testing.T) {
	files := NewMemory(0)
	o := Options{Files: files, Recent: 1}
	e := openEntries(t, newRand(t), o)
	for range 1500 {
		e.append(e.r.IntN(300), 1+e.r.Uint64N(3))
	}
	require.NoError(t, e.Close())
	f, err := files.Open(segmentName(1))
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("broken"), e.view.segments[0].end+headerSize)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	e.head = e.Last() + 1
	e.open(t, o)
	e.append(0, 1)
	assert.Len(t, e.view.segments, 2)
	e.requireRandomRanges(t, 20, 3)
	require.NoError(t, e.Close())
}

// A segment that goes on after a clean stop, and the next one, lose what was not synced: that is no damage.
func TestCrashBehindACleanStop(t *testing.T) {
	r := newRand(t)
	for range 50 {
		seed := r.Uint64()
		_, problem := unsealCrashRun(seed, "")
		require.Empty(t, problem, "seed %d", seed)
	}
}

// unsealCrashRun lets the machine go off when a segment that went on after a clean stop is full, and the next one is written.
func unsealCrashRun(seed uint64, ignored string) (crashes int, problem string) {
	r := rand.New(rand.NewPCG(seed, 4))
	d := newDisk()
	o := Options{Files: d, SegmentSize: 8 << 10, Recent: 1, Fsync: No}
	e := newEntries(r)
	if problem := e.reopen(o); problem != "" {
		return 0, problem
	}
	e.append(100, 1)
	if err := e.Close(); err != nil {
		return 0, err.Error()
	}
	d.ignored = ignored
	if problem := e.reopen(o); problem != "" {
		return 0, problem
	}
	before := e.last[1]
	more := r.IntN(3)
	d.mu.Lock()
	d.fault = func(operation, name string) (int, error) {
		if operation == "write" && name == segmentName(2) && d.stopAt == 0 {
			d.stopAt = d.steps + more
		}
		return 0, nil
	}
	d.mu.Unlock()
	for n := range 100 {
		e.append(r.IntN(100), 1)
		if n == 30 { // the next segment is allocated, and the syncer waits
			_ = e.onWriter(func() error { return nil })
			_ = e.awaitSyncer()
		}
	}
	_ = e.Sync() // until the machine goes off
	_ = e.Close()
	d.fault = nil
	d.powerOff(r)
	_, recovery, err := reopenOnly(o)
	switch {
	case err != nil:
		return 1, err.Error()
	case len(recovery.Damages) > 0:
		return 1, fmt.Sprint(recovery.Damages)
	case recovery.Last == 0:
		return 1, fmt.Sprintf("%d entries before the clean stop are gone", before)
	}
	return 1, ""
}

// reopenOnly opens and closes a log.
func reopenOnly(o Options) (records []Record, recovery Recovery, err error) {
	l, recovery, err := Open(o, 0, collect(&records))
	if err != nil {
		return nil, recovery, err
	}
	return records, recovery, l.Close()
}

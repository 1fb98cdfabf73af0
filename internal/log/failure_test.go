package log

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// faults are what a disk answers to one call, and how many bytes of a write it takes all the same.
var faults = []struct {
	name    string
	calls   []string
	err     error
	written int
}{
	{"a sync fails", []string{"sync", "syncdir"}, syscall.EIO, 0},
	{"a write fails", []string{"write"}, syscall.EIO, 0},
	{"a write fails half done", []string{"write"}, syscall.EIO, 40},
	{"a file is refused", []string{"create", "open", "rename", "remove"}, syscall.EACCES, 0},
	{"a read fails", []string{"read"}, syscall.EIO, 0},
	{"a cut fails", []string{"truncate", "allocate"}, syscall.EIO, 0},
}

// Whatever call of the disk fails: the log opens or returns the error; after a failure nothing is promised, appends are refused with the
// error, and what was promised is read, then and at the next start.
func TestEachCallFails(t *testing.T) {
	for _, fault := range faults {
		for _, fsync := range []Fsync{Always, No} {
			t.Run(fmt.Sprintf("%s, %v", fault.name, fsync), func(t *testing.T) {
				failed := 0
				for n := 1; ; n++ {
					if !failAt(t, n, fault.calls, fault.err, fault.written, fsync) {
						break
					}
					failed++
				}
				assert.Positive(t, failed)
			})
		}
	}
}

// failAt lets the n-th call fail. It returns false if there were fewer.
func failAt(t *testing.T, n int, calls []string, err error, written int, fsync Fsync) (failed bool) {
	t.Helper()
	d := newDisk()
	seen := 0
	d.fault = func(operation, _ string) (int, error) {
		for _, call := range calls {
			if operation == call {
				if seen++; seen == n {
					failed = true
					return written, err
				}
			}
		}
		return 0, nil
	}
	var mu sync.Mutex
	var last Progress
	o := Options{Files: d, Fsync: fsync, SegmentSize: 2048, Recent: 1, Progress: func(p Progress) {
		mu.Lock()
		last = p
		mu.Unlock()
	}}
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	var model []Record
	for life := range 3 {
		var found []Record
		l, _, opening := Open(o, 0, collect(&found))
		if opening != nil {
			require.ErrorIs(t, opening, err)
			continue // the next start finds it in order
		}
		requireRecords(t, model[:len(found)], found)
		model = model[:len(found)]
		for range 40 {
			r := Record{Number: uint64(len(model) + 1), Kind: 1}
			r.Payload = payload(rng, uint64(life), r.Number, 100)
			if l.Append(r.Kind, r.Payload) == 0 {
				require.ErrorIs(t, l.Err(), err)
				require.ErrorIs(t, l.Failed(), err)
				break
			}
			model = append(model, r)
		}
		if l.Sync() != nil {
			require.ErrorIs(t, l.Failed(), err)
			require.ErrorIs(t, l.Sync(), err, "it is final")
			require.Zero(t, l.Append(1, nil))
			require.Error(t, l.CutHead(1))
			require.Error(t, l.CutTail(1))
		}
		mu.Lock()
		promised := last.Synced
		mu.Unlock()
		if operation := calls[0]; operation != "read" {
			var read []Record
			require.NoError(t, l.Scan(1, promised, collect(&read)))
			requireRecords(t, model[:promised], read)
		}
		closing := l.Close()
		if l.Failed() != nil {
			require.ErrorIs(t, closing, err)
			d.powerOff(rng)
		}
		require.LessOrEqual(t, promised, uint64(len(model)))
		checkPromised(t, o, model, promised)
	}
	return failed
}

// requireRecords compares records; none is equal to none.
func requireRecords(t *testing.T, want, got []Record) {
	t.Helper()
	if len(want)+len(got) > 0 {
		require.Equal(t, want, got)
	}
}

// checkPromised opens a log with a disk that works, and closes it as it was.
func checkPromised(t *testing.T, o Options, model []Record, promised uint64) {
	t.Helper()
	d, ok := o.Files.(*disk)
	require.True(t, ok)
	fault := d.fault
	d.fault = nil
	defer func() { d.fault = fault }()
	var found []Record
	l, recovery, err := Open(Options{Files: d, SegmentSize: o.SegmentSize}, 0, collect(&found))
	require.NoError(t, err)
	require.Empty(t, recovery.Damages)
	require.GreaterOrEqual(t, recovery.Last, promised)
	requireRecords(t, model[:len(found)], found)
	require.NoError(t, l.Close())
}

// A full disk refuses appends for a while: nothing is lost, and it goes on once there is space, without a restart.
func TestFullDisk(t *testing.T) {
	for _, operation := range []string{"write", "create"} {
		for _, written := range []int{0, 40} {
			t.Run(fmt.Sprintf("%s %d", operation, written), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { fullDisk(t, operation, written) })
			})
		}
	}
}

func fullDisk(t *testing.T, operation string, written int) {
	d := newDisk()
	full := false
	l, _, err := Open(Options{Files: d, Fsync: Always, SegmentSize: 2048}, 0, nil)
	require.NoError(t, err)
	d.mu.Lock()
	d.fault = func(call, _ string) (int, error) {
		if full && call == operation {
			return written, &fs.PathError{Op: call, Err: syscall.ENOSPC}
		}
		return 0, nil
	}
	full = true
	d.mu.Unlock()
	var model []Record
	rng := rand.New(rand.NewPCG(3, 3))
	appendOne := func() {
		r := Record{Number: uint64(len(model) + 1), Kind: 1}
		r.Payload = payload(rng, 1, r.Number, 100)
		require.Equal(t, r.Number, l.Append(1, r.Payload))
		model = append(model, r)
	}
	for l.Err() == nil {
		appendOne()
		synctest.Wait()
	}
	assert.ErrorIs(t, l.Err(), ErrFull)
	assert.NoError(t, l.Failed())
	for range 30 { // what takes less space may come all the same
		appendOne()
	}
	time.Sleep(10 * time.Second) //nolint:forbidigo // of the bubble
	synctest.Wait()
	assert.ErrorIs(t, l.Err(), ErrFull)
	assert.Less(t, l.Progress().Promised, uint64(len(model)), "what is not written is not promised")
	assert.Equal(t, model, scan(t, l), "and is read from memory")

	d.mu.Lock()
	full = false
	d.mu.Unlock()
	require.NoError(t, l.Sync())
	assert.NoError(t, l.Err())
	assert.EqualValues(t, len(model), l.Progress().Promised)
	require.NoError(t, l.Close())
	d.powerOff(rng)
	d.fault = nil
	var found []Record
	l, _, err = Open(Options{Files: d, SegmentSize: 2048}, 0, collect(&found))
	require.NoError(t, err)
	assert.Equal(t, model, found)
	require.NoError(t, l.Close())
}

// A log that is closed while the disk is full ends with the error, and keeps what was promised.
func TestCloseOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		l, _, err := Open(Options{Files: d, Fsync: Always, SegmentSize: 2048}, 0, nil)
		require.NoError(t, err)
		l.Append(1, []byte("kept"))
		require.NoError(t, l.Sync())
		d.mu.Lock()
		d.fault = func(call, _ string) (int, error) {
			if call == "write" || call == "create" {
				return 0, syscall.ENOSPC
			}
			return 0, nil
		}
		d.mu.Unlock()
		for range 100 {
			l.Append(1, make([]byte, 100))
		}
		synctest.Wait()
		assert.ErrorIs(t, l.Close(), ErrFull)
		d.fault = nil
		var found []Record
		l, _, err = Open(Options{Files: d, SegmentSize: 2048}, 0, collect(&found))
		require.NoError(t, err)
		assert.Len(t, found, 1)
		require.NoError(t, l.Close())
	})
}

// A disk that takes a part of each write without an error gets the rest.
func TestShortWrites(t *testing.T) {
	d := newDisk()
	d.fault = func(call, _ string) (int, error) {
		if call == "write" {
			return 7, nil
		}
		return 0, nil
	}
	var model []Record
	rng := rand.New(rand.NewPCG(4, 4))
	for range 2 {
		var found []Record
		l, _, err := Open(Options{Files: d, Fsync: Always, SegmentSize: 2048}, 0, collect(&found))
		require.NoError(t, err)
		requireRecords(t, model, found)
		require.NoError(t, l.Begin(1, 0))
		for range 50 {
			r := Record{Number: uint64(len(model) + 1), Kind: 1}
			r.Payload = payload(rng, 1, r.Number, 100)
			l.Append(1, r.Payload)
			model = append(model, r)
		}
		require.NoError(t, l.Close())
	}
}

// Under a duration a write is synced at most that long after it, and an idle log does not wake.
func TestSyncsWithinTheDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		syncs := 0
		l, _, err := Open(Options{Files: d, Fsync: Fsync(time.Second)}, 0, nil)
		require.NoError(t, err)
		d.mu.Lock()
		d.fault = func(call, _ string) (int, error) {
			if call == "sync" {
				syncs++
			}
			return 0, nil
		}
		d.mu.Unlock()
		for n := uint64(1); n <= 3; n++ {
			time.Sleep(time.Hour) //nolint:forbidigo // of the bubble
			l.Append(1, nil)
			synctest.Wait()
			assert.Equal(t, Progress{Written: n, Synced: n - 1, Promised: n}, l.Progress())
			time.Sleep(999 * time.Millisecond) //nolint:forbidigo // of the bubble
			synctest.Wait()
			assert.Equal(t, n-1, l.Progress().Synced)
			time.Sleep(time.Millisecond) //nolint:forbidigo // of the bubble
			synctest.Wait()
			assert.Equal(t, Progress{Written: n, Synced: n, Promised: n}, l.Progress())
			assert.EqualValues(t, n, syncs)
		}
		require.NoError(t, l.Close())
	})
}

// cutFiles are Files on which a cut takes two seconds. A sync that begins meanwhile ends when release is closed.
type cutFiles struct {
	Files
	isCutting *atomic.Bool
	release   chan struct{}
}

type cutFile struct {
	File
	cutFiles
}

func (c cutFiles) Create(name string, size int64) (File, error) {
	f, err := c.Files.Create(name, size)
	return cutFile{f, c}, err
}

func (c cutFile) Truncate(size int64) error {
	c.isCutting.Store(true)
	defer c.isCutting.Store(false)
	time.Sleep(2 * time.Second) //nolint:forbidigo // of the bubble
	return c.File.Truncate(size)
}

func (c cutFile) Sync() error {
	if c.isCutting.Load() {
		<-c.release
	}
	return c.File.Sync()
}

func (c cutFile) Close() error { return c.File.Close() }

// A cut and a sync that is due meanwhile: the record that takes the number of one that is gone is not synced because that one was.
func TestASyncThatIsDueDuringACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := cutFiles{newDisk(), new(atomic.Bool), make(chan struct{})}
		l, _, err := Open(Options{Files: files, Fsync: Fsync(time.Second)}, 0, nil)
		require.NoError(t, err)
		l.Append(1, []byte("stays"))
		l.Append(1, []byte("goes"))
		synctest.Wait()
		require.NoError(t, l.CutTail(2))
		assert.Equal(t, Progress{Written: 1, Synced: 1, Promised: 1}, l.Progress())
		l.Append(1, []byte("comes"))
		synctest.Wait()
		close(files.release)
		synctest.Wait()
		assert.Equal(t, Progress{Written: 2, Synced: 1, Promised: 2}, l.Progress())
		require.NoError(t, l.Close())
	})
}

// A Reset that is cut off before log.meta has the new head, then a start that is cut off as well: the head of the first start holds for the second.
func TestTheHeadOfAResetThatWasCutOff(t *testing.T) {
	d := newDisk()
	open := func(after uint64) (*Log, Recovery, error) {
		return Open(Options{Files: d, Fsync: Fsync(time.Hour)}, after, func(Record) error { return nil })
	}
	crash := func(l *Log) {
		d.mu.Lock()
		d.off, d.fault = true, nil
		d.mu.Unlock()
		assert.ErrorIs(t, l.Close(), errCrash)
		d.kill()
	}
	l, _, err := open(0)
	require.NoError(t, err)
	for range 11 {
		l.Append(1, []byte("a record"))
	}
	d.mu.Lock()
	d.fault = func(_, name string) (int, error) {
		if name == "log.meta.tmp" {
			return 0, errCrash
		}
		return 0, nil
	}
	d.mu.Unlock()
	require.ErrorIs(t, l.Reset(12), errCrash)
	require.NoError(t, l.Sync())
	crash(l)
	clear(d.names[segmentName(1)].current) // it never reached the disk
	for range 2 {
		l, recovery, err := open(11)
		require.NoError(t, err)
		assert.Empty(t, recovery.Damages)
		assert.Equal(t, uint64(12), recovery.Head)
		crash(l)
	}
}

// stalledFiles are Files with a disk that answers no write, or no sync, until it is let go on.
type stalledFiles struct {
	Files
	writes, syncs chan struct{}
}

type stalledFile struct {
	File
	stalledFiles
}

func (s stalledFiles) Create(name string, size int64) (File, error) {
	f, err := s.Files.Create(name, size)
	return stalledFile{f, s}, err
}

func (s stalledFile) WriteAt(p []byte, at int64) (int, error) {
	if s.writes != nil {
		<-s.writes
	}
	return s.File.WriteAt(p, at)
}

func (s stalledFile) Sync() error {
	if s.syncs != nil {
		s.syncs <- struct{}{}
		<-s.syncs
	}
	return s.File.Sync()
}

func (s stalledFile) Close() error { return s.File.Close() }

// The appender does not wait for a disk that does not answer: what is appended stays in memory, is counted, and can be read.
func TestAppendDoesNotWait(t *testing.T) {
	for _, fsync := range []Fsync{Always, No, Fsync(time.Second)} {
		memory := NewMemory(0)
		l, _, err := Open(Options{Files: memory, SegmentSize: 1 << 20}, 0, nil)
		require.NoError(t, err)
		require.NoError(t, l.Close())
		release := make(chan struct{})
		l, _, err = Open(Options{Files: stalledFiles{Files: memory, writes: release}, Fsync: fsync, SegmentSize: 1 << 20, Recent: 1}, 0, nil)
		require.NoError(t, err)
		// The first segment was there before; the next one stalls.
		const records, size = 300, 32 << 10
		for n := range records {
			require.EqualValues(t, n+1, l.Append(1, make([]byte, size)))
		}
		assert.Greater(t, l.Unsynced(), int64(records-40)*size)
		assert.Len(t, scan(t, l), records)
		close(release)
		require.NoError(t, l.Sync())
		assert.Zero(t, l.Unsynced())
		stats := l.Stats()
		assert.LessOrEqual(t, stats.Recent, int64(chunkSize), "what is synced goes from memory, but for the last chunk")
		assert.GreaterOrEqual(t, stats.Bytes, int64(records*size))
		assert.Len(t, scan(t, l), records)
		require.NoError(t, l.Close())
	}
}

// Syncs beside the writer leave few records that are written when all before is synced. Marks prove them: a flipped bit is damage, not the end.
func TestMarksProveSyncs(t *testing.T) {
	d := newDisk()
	o := Options{Files: d, Fsync: Fsync(time.Hour), SegmentSize: 64 << 10}
	syncs := make(chan struct{})
	o.Files = stalledFiles{Files: d, syncs: syncs}
	meta := (&meta{secret: 1, head: 1}).encode()
	d.names[metaName] = &inode{durable: meta, current: meta}
	l, _, err := Open(o, 0, nil)
	require.NoError(t, err)
	for range 3 {
		for range 10 {
			l.Append(1, make([]byte, 50))
		}
		synced := make(chan error)
		go func() { synced <- l.Sync() }()
		<-syncs // the sync is under way
		last := l.Append(1, make([]byte, 50))
		waitWritten(l, last)
		syncs <- struct{}{}
		require.NoError(t, <-synced)
	}
	l.Append(1, make([]byte, 50)) // with a mark before it
	waitWritten(l, 34)
	f := d.names[segmentName(1)]
	d.mu.Lock()
	f.current[segmentHeaderSize+15*(headerSize+50)] ^= 1
	d.mu.Unlock()
	var found []Record
	again, recovery, err := Open(Options{Files: d, SegmentSize: 64 << 10}, 0, collect(&found))
	require.NoError(t, err)
	require.Len(t, recovery.Damages, 1)
	assert.EqualValues(t, 34, recovery.Last)
	assert.Len(t, found, 33)
	require.NoError(t, again.Close())
	go func() {
		for range 6 { // three syncs of Close, with an answer each
			select {
			case <-syncs:
			case syncs <- struct{}{}:
			}
		}
	}()
	require.NoError(t, l.Close())
}

func waitWritten(l *Log, number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.progress.Written < number {
		l.changed.Wait()
	}
}

// Under a duration a log syncs before its time once much is not synced, so that memory stays bounded.
func TestMuchUnsyncedIsSyncedEarly(t *testing.T) {
	l, _, err := Open(Options{Files: NewMemory(0), Fsync: Fsync(time.Hour), Recent: 1}, 0, nil)
	require.NoError(t, err)
	payload := make([]byte, 1<<20)
	for range 64 {
		l.Append(1, payload)
	}
	l.mu.Lock()
	for l.appended-l.synced > earlySync+2<<20 {
		l.changed.Wait() // for ever, if there is no sync before the hour
	}
	l.mu.Unlock()
	assert.Less(t, l.Stats().Recent, int64(earlySync+4<<20))
	require.NoError(t, l.Close())
}

// What is appended while the disk fills up reaches the disk all the same, though it needs more than the last segment has room for: the
// reserve is for that. Appends are refused until there is space for the reserve again.
func TestTheReserveOfAFullDisk(t *testing.T) {
	for _, fsync := range []Fsync{Always, No} {
		t.Run(fsync.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { reserveOfAFullDisk(t, fsync) })
		})
	}
}

func reserveOfAFullDisk(t *testing.T, fsync Fsync) {
	const segment, backlog = 2 * memoryPage, 5 * memoryPage
	memory := NewMemory(11 * memoryPage) // segments, the reserve, and less than what is appended at once
	stalled := make(chan struct{})
	o := Options{Files: keep{memory}, Fsync: fsync, SegmentSize: segment, Reserve: 6 * memoryPage}
	l, _, err := Open(o, 0, nil)
	require.NoError(t, err)
	synctest.Wait()
	l.Append(1, []byte("first"))
	require.NoError(t, l.Sync())
	// The writer is held, as a slow disk would, until much more than a segment is appended.
	go func() { _ = l.onWriter(func() error { <-stalled; return nil }) }()
	synctest.Wait()
	last := uint64(0)
	for appended := 0; appended < backlog; appended += 1000 {
		last = l.Append(1, make([]byte, 1000))
	}
	close(stalled)
	require.NoError(t, l.Sync(), "without the reserve it waits for ever")
	assert.Equal(t, last, l.Progress().Synced)
	time.Sleep(10 * time.Second) //nolint:forbidigo // of the bubble
	synctest.Wait()
	assert.ErrorIs(t, l.Err(), ErrFull, "the reserve has no room")

	removed := last + 1
	require.NoError(t, l.CutHead(removed)) // a checkpoint that needs no space here
	l.Append(1, []byte("behind"))
	require.NoError(t, l.Reset(l.Last()+1), "all segments go")
	time.Sleep(2 * time.Second) //nolint:forbidigo // of the bubble
	synctest.Wait()
	assert.NoError(t, l.Err())
	require.NoError(t, l.Close())
	for _, name := range reserveNames {
		_, err = memory.Open(name)
		assert.ErrorIs(t, err, fs.ErrNotExist, "a directory that is not in use takes no more than its records")
	}
}

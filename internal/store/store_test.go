package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/internal/testseed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// core stands for a service: it runs visits on the goroutine of the test, one at a time.
type core struct {
	visits chan func()
	ended  chan struct{}
	ticks  chan struct{}
	synced chan [2]uint64
	failed chan error
	// replaced gets what Replace is called with.
	replaced chan *stream.Streams
}

func newCore() *core {
	return &core{
		make(chan func()), make(chan struct{}), make(chan struct{}, 10), make(chan [2]uint64, 10_000), make(chan error, 1),
		make(chan *stream.Streams, 1),
	}
}

func (c *core) Synced(promised, synced uint64, err error) {
	c.synced <- [2]uint64{promised, synced}
	if err != nil {
		c.failed <- err
	}
}

func (c *core) Tick() { c.ticks <- struct{}{} }

func (c *core) Replace(s *stream.Streams) { c.replaced <- s }

func (c *core) RunOnCore(f func(broker.View)) bool {
	done := make(chan struct{})
	select {
	case c.visits <- func() { f(broker.View{}); close(done) }:
		<-done
		return true
	case <-c.ended:
		return false
	}
}

// opened is a store with its core, which is the goroutine of the test.
type opened struct {
	*Store
	*core
	t        *testing.T
	sequence uint64
}

func open(t *testing.T, o Options) *opened {
	t.Helper()
	s, err := Open(o)
	require.NoError(t, err)
	return &opened{Store: s, core: newCore(), t: t, sequence: s.Sequence()}
}

// add appends an entry to a stream, in a record of its own.
func (s *opened) add(key, text string) {
	s.t.Helper()
	s.sequence++
	c := &stream.Change{Time: s.Now(), Sequence: s.sequence}
	ok, err := s.Streams().PlanAdd(c, []byte(key), &stream.AddOptions{Auto: true, Fields: [][]byte{[]byte("text"), []byte(text)}})
	require.NoError(s.t, err)
	require.True(s.t, ok)
	s.append(c)
}

// remove deletes a stream.
func (s *opened) remove(key string) {
	s.t.Helper()
	c := &stream.Change{Time: s.Now(), Sequence: s.sequence}
	s.Streams().PlanRemove(c, s.Streams().Lookup([]byte(key)))
	s.append(c)
}

func (s *opened) append(c *stream.Change) {
	s.t.Helper()
	payload := stream.AppendChange(stream.BeginRecord(nil, c.Sequence, c.Time), c)
	s.Streams().Apply(c)
	require.NotZero(s.t, s.Append(payload))
}

// serveWaiting serves the visits that wait for the core.
func (s *opened) serveWaiting() {
	for {
		select {
		case visit := <-s.visits:
			visit()
		default:
			return
		}
	}
}

// patience bounds every wait. It ends a test that hangs, with what it waited for, and measures nothing.
const patience = 5 * time.Minute

// serveUntil serves the visits until a condition holds.
func (s *opened) serveUntil(holds func() bool) {
	s.t.Helper()
	for begun := time.Now(); !holds(); runtime.Gosched() {
		s.serveWaiting()
		if time.Since(begun) > patience {
			require.FailNow(s.t, "what was waited for has not come", "error %v, failure %v, status %+v", s.Err(), s.Failed(), s.Status())
		}
	}
}

// stop stops the store, as long as the core runs, and then the core.
func (s *opened) stop() {
	stopped := make(chan struct{})
	go func() { defer close(stopped); s.Stop() }()
	for {
		select {
		case visit := <-s.visits:
			visit()
		case <-stopped:
			close(s.ended)
			return
		}
	}
}

// entries returns the texts of a stream, as the log has them.
func (s *opened) entries(key string) (texts []string) {
	s.t.Helper()
	st := s.Streams().Lookup([]byte(key))
	if st == nil {
		return nil
	}
	r := st.Range(stream.MinID, stream.MaxID, 0, false)
	p := s.Pin(st.Number(), r.First(), r.Last())
	defer p.Release()
	require.NoError(s.t, p.Read(func(payload []byte) bool {
		require.NoError(s.t, stream.EachEntry(payload, st.Number(), func(e *stream.Entry) bool {
			if r.Live(e.Ordinal) {
				_, _ = e.Fields.Next()
				text, _ := e.Fields.Next()
				texts = append(texts, string(text))
			}
			return true
		}))
		return true
	}))
	return texts
}

// The streams of a directory are there after a clean stop. The sequence goes on, the epoch is another one, and positions of the
// one before are numbers of this one.
func TestARestart(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "log"), Fsync: FsyncAlways}
	s := open(t, o)
	assert.Zero(t, s.Sequence())
	s.add("a", "one")
	s.add("b", "two")
	s.add("a", "three")
	first, digest := s.Epoch(), s.Streams().Digest()
	const last = 10 // seven messages were published meanwhile
	require.NoError(t, s.Close(last))

	s = open(t, o)
	assert.Equal(t, digest, s.Streams().Digest())
	assert.Equal(t, []string{"one", "three"}, s.entries("a"))
	assert.Equal(t, []string{"two"}, s.entries("b"))
	assert.True(t, s.recovery.Clean)
	assert.EqualValues(t, last, s.Sequence())
	assert.NotEqual(t, first, s.Epoch())
	n, ok := s.Resolve(first, 7)
	assert.True(t, ok)
	assert.EqualValues(t, 7, n)
	_, ok = s.Resolve(first, last+2)
	assert.False(t, ok)
	second := s.Epoch()
	require.NoError(t, s.Close(last))

	s = open(t, o)
	for _, epoch := range []string{first, second} {
		_, ok = s.Resolve(epoch, last+1)
		assert.True(t, ok)
	}
	require.NoError(t, s.Close(0))
}

// A copy of a directory, made while it is in use, is what a crash leaves: what was synced is there, and positions of that epoch are
// unknown, because messages may have come behind what was logged.
func TestACrash(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "log"), Fsync: FsyncAlways}
	s := open(t, o)
	s.add("a", "one")
	s.add("a", "two")
	require.NoError(t, s.log.Sync())
	crashed := o
	crashed.Dir = filepath.Join(t.TempDir(), "copy")
	require.NoError(t, faulty.CopyLive(crashed.Dir, o.Dir))
	require.NoError(t, s.Close(0))

	again := open(t, crashed)
	assert.False(t, again.recovery.Clean)
	assert.Equal(t, []string{"one", "two"}, again.entries("a"))
	assert.EqualValues(t, 2, again.Sequence())
	_, ok := again.Resolve(s.Epoch(), 1)
	assert.False(t, ok)
	require.NoError(t, again.Close(2))
}

// The state at any point of a life with checkpoints, restarts and crashes is that of the changes so far.
func TestCheckpoints(t *testing.T) {
	seed := testseed.New()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	o := Options{Dir: filepath.Join(t.TempDir(), "log"), Fsync: FsyncNo, CheckpointEvery: 4 << 10, SegmentSize: MinSegmentSize}
	bases, deltas := 0, 0
	for life := range 10 {
		s := open(t, o)
		s.Start(s.core)
		for i := range 400 {
			key := fmt.Sprintf("key%d", random.IntN(50))
			if st := s.Streams().Lookup([]byte(key)); st != nil && random.IntN(10) == 0 {
				s.remove(key)
			} else {
				s.add(key, fmt.Sprintf("%d of life %d", i, life))
			}
			s.serveWaiting()
		}
		s.stop()
		digest, sequence := s.Streams().Digest(), s.sequence
		if random.IntN(2) == 0 { // a crash: what another process would find
			crashed := o
			crashed.Dir = filepath.Join(t.TempDir(), fmt.Sprint(life))
			require.NoError(t, s.log.Sync())
			require.NoError(t, faulty.CopyLive(crashed.Dir, o.Dir))
			o = crashed
		}
		require.NoError(t, s.Close(sequence))
		names, err := filepath.Glob(filepath.Join(o.Dir, "checkpoint-*"))
		require.NoError(t, err)
		for _, name := range names {
			if filepath.Ext(name) == baseEnding {
				bases++
			} else {
				deltas++
			}
		}

		s = open(t, o)
		require.Equal(t, digest, s.Streams().Digest(), "seed %d, life %d", seed, life)
		require.Equal(t, sequence, s.Sequence())
		require.NoError(t, s.Close(sequence))
	}
	assert.NotZero(t, bases)
	assert.NotZero(t, deltas)
}

// A clean stop leaves a checkpoint, so that the next start applies no record.
func TestACleanStopLeavesACheckpoint(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "log")}
	s := open(t, o)
	for range 100 {
		s.add("a", "text")
	}
	require.NoError(t, s.Close(0))
	s = open(t, o)
	assert.Zero(t, s.checkpoints.pending.Load())
	assert.Len(t, s.entries("a"), 100)
	require.NoError(t, s.Close(0))
}

// Each error of opening is one line that names what to do.
func TestWhatCannotBeOpened(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	s := open(t, Options{Dir: dir})
	_, err := Open(Options{Dir: dir})
	assert.EqualError(t, err, "the directory "+dir+" is in use by another conch; give each one a --dir of its own")
	s.add("a", "one")
	require.NoError(t, s.Close(0))

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = Open(Options{Dir: file})
	assert.EqualError(t, err, "the directory "+file+" cannot be used: it is, or is in, something else")

	bases, err := filepath.Glob(filepath.Join(dir, "checkpoint-*.base"))
	require.NoError(t, err)
	require.Len(t, bases, 1)
	content, err := os.ReadFile(bases[0])
	require.NoError(t, err)
	name := filepath.Base(bases[0])
	for _, test := range []struct {
		sentence, want string
		change         func(b []byte) []byte
	}{
		{
			"a checkpoint with a flipped bit", "the checkpoint " + name + " is damaged: its checksum is wrong; restore the directory from a backup",
			func(b []byte) []byte { b[len(b)-sumLen-1] ^= 1; return b },
		},
		{
			"a checkpoint that was cut", "the checkpoint " + name + " is damaged: its checksum is wrong; restore the directory from a backup",
			func(b []byte) []byte { return b[:len(b)-1] },
		},
		{
			"a checkpoint of a newer format",
			"the checkpoint " + name + ` cannot be read: it has the format '9', which this version of conch does not know: it was written by a newer one`,
			func(b []byte) []byte { b[len(magic)] = '9'; return b },
		},
		{"an empty checkpoint", "the checkpoint " + name + " cannot be read: it has 0 bytes only", func([]byte) []byte { return nil }},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			require.NoError(t, os.WriteFile(bases[0], test.change(append([]byte(nil), content...)), 0o600))
			_, err := Open(Options{Dir: dir})
			assert.EqualError(t, err, "the directory "+dir+" cannot be opened: "+test.want)
		})
	}
	require.NoError(t, os.Rename(bases[0], bases[0][:len(bases[0])-len(baseEnding)]+deltaEnding))
	_, err = Open(Options{Dir: dir})
	assert.ErrorContains(t, err, "has lost its base: restore the directory from a backup")
}

// A deadline ticks once, by the clock of the log.
func TestADeadlineTicks(t *testing.T) {
	s := open(t, Options{})
	s.Start(s.core)
	s.SetDeadline(s.Now() + 5)
	s.SetDeadline(s.Now() + 3600_000)
	at := s.Now() + 10
	s.SetDeadline(at)
	<-s.ticks
	assert.GreaterOrEqual(t, s.Now(), at)
	s.SetDeadline(0)
	s.stop()
	assert.Empty(t, s.ticks)
	require.NoError(t, s.Close(0))
}

// A failed sync is final. Nothing is appended any more, and the streams are those of the last sync.
func TestAFailedSync(t *testing.T) {
	var disk *faulty.Disk
	o := Options{Dir: filepath.Join(t.TempDir(), "log"), Fsync: FsyncAlways, CheckpointEvery: 2 << 10}
	o.Wrap = func(f log.Files) log.Files { disk = faulty.NewDisk(f); return disk }
	s := open(t, o)
	s.Start(s.core)
	for range 100 { // some of it is in checkpoints
		s.add("a", "text")
		s.serveWaiting()
	}
	s.serveUntil(func() bool { return s.Status().SyncedRecord == 100 })
	digest := s.Streams().Digest()
	disk.Break()
	s.add("a", "lost")
	assert.ErrorIs(t, <-s.failed, faulty.ErrDisk)
	var replaced *stream.Streams
	for replaced == nil {
		select {
		case visit := <-s.visits:
			visit()
		case replaced = <-s.replaced:
		}
	}
	assert.Equal(t, digest, replaced.Digest())
	assert.Len(t, s.entries("a"), 100)
	assert.Zero(t, s.Append([]byte("refused")))
	assert.ErrorIs(t, s.Failed(), faulty.ErrDisk)
	assert.True(t, s.Status().Failed)
	s.stop()
	assert.ErrorIs(t, s.Close(0), faulty.ErrDisk)

	o.Wrap = nil // the disk was repaired
	s = open(t, o)
	assert.GreaterOrEqual(t, len(s.entries("a")), 100)
	require.NoError(t, s.Close(0))
}

// In memory the bound holds, and entries that die give back their memory.
func TestMemory(t *testing.T) {
	const bound = 8 << 20
	s := open(t, Options{Memory: bound})
	s.Start(s.core)
	text := strings.Repeat("x", 1000)
	added := 0
	for ; s.Room(len(text)); added++ {
		s.add("a", text)
		s.serveWaiting()
	}
	assert.Greater(t, added, bound/2/len(text), "most of the bound is for entries")
	assert.Less(t, added, bound/len(text))
	s.remove("a")
	s.serveUntil(func() bool {
		s.add("b", text) // a segment goes when it is sealed
		s.remove("b")
		return s.Room(bound / 2)
	})
	require.NoError(t, s.Err())
	s.stop()
	require.NoError(t, s.Close(0))
}

// A stream that is deleted gives back its space on the disk, though nothing is appended behind it.
func TestSpaceOfADeletedStream(t *testing.T) {
	s := open(t, Options{Dir: filepath.Join(t.TempDir(), "log"), SegmentSize: MinSegmentSize, CheckpointEvery: 64 << 10})
	s.Start(s.core)
	text := strings.Repeat("x", 200)
	for range 2 * manyDead {
		s.add("a", text)
		s.serveWaiting()
	}
	s.serveUntil(func() bool { return s.Status().PendingBytes < 64<<10 })
	full := s.Status().Bytes
	s.remove("a")
	for range 20 { // what dies piece by piece adds up
		s.Died(manyDead / 10)
	}
	s.serveUntil(func() bool { return s.Status().Bytes < full/4 })
	s.stop()
	require.NoError(t, s.Close(0))
}

// Compact gives back what is too little for the log to do by itself, behind a checkpoint that it lets be written.
func TestCompact(t *testing.T) {
	s := open(t, Options{Dir: filepath.Join(t.TempDir(), "log"), SegmentSize: MinSegmentSize})
	s.Start(s.core)
	text := strings.Repeat("x", 200)
	for n := range 3000 {
		s.add(map[bool]string{true: "a", false: "b"}[n%20 > 1], text)
		s.serveWaiting()
	}
	full := s.Status()
	s.remove("b")
	s.Compact()
	s.serveUntil(func() bool { return s.Status().RewrittenSegments > uint64(full.Segments/2) })
	s.serveUntil(func() bool { return s.Status().Bytes < full.Bytes-full.Bytes/12 })
	assert.InDelta(t, s.Status().Bytes, s.Status().VisibleBytes, MinSegmentSize*2)
	s.stop()
	require.NoError(t, s.Close(0))
}

// smallDisk is a directory with room for so many segments.
type smallDisk struct {
	log.Files
	room atomic.Int64
}

func (d *smallDisk) Create(name string, size int64) (log.File, error) {
	if strings.HasSuffix(name, ".log") && d.room.Add(-1) < 0 {
		d.room.Add(1)
		return nil, log.ErrFull
	}
	return d.Files.Create(name, size)
}

func (d *smallDisk) Remove(name string) error {
	if strings.HasSuffix(name, ".log") {
		d.room.Add(1)
	}
	return d.Files.Remove(name)
}

// A full disk takes appends again once a stream is deleted, though no checkpoint is due.
func TestAFullDiskAndADeletedStream(t *testing.T) {
	s := open(t, Options{Dir: filepath.Join(t.TempDir(), "log"), Fsync: FsyncAlways, SegmentSize: MinSegmentSize, Wrap: func(f log.Files) log.Files {
		d := &smallDisk{Files: f}
		d.room.Store(4)
		return d
	}})
	s.Start(s.core)
	for text := strings.Repeat("x", 1000); s.Err() == nil; {
		s.add("a", text)
		s.serveUntil(func() bool { return s.Unsynced() == 0 })
	}
	s.remove("a")
	s.Died(200)
	s.serveUntil(func() bool { return s.Err() == nil })
	s.add("b", "text")
	s.stop()
	require.NoError(t, s.Close(0))
}

// A disk that has no space for what waits to be written, because appends were faster than the disk, gives space back all the same once
// a stream is deleted: that deletion comes behind all that waits.
func TestADiskThatIsFullBeforeAllIsWritten(t *testing.T) {
	for _, fsync := range []Fsync{FsyncAlways, FsyncNo, Fsync(time.Millisecond)} {
		t.Run(fmt.Sprint(fsync), func(t *testing.T) {
			const unsynced = 1 << 20
			memory := log.NewMemory(12 << 20)
			o := Options{Dir: filepath.Join(t.TempDir(), "log"), Fsync: fsync, SegmentSize: unsynced, CheckpointEvery: unsynced, Unsynced: unsynced,
				Wrap: func(f log.Files) log.Files {
					assert.NoError(t, f.Close())
					return memory
				}}
			s := open(t, o)
			s.Start(s.core)
			text := strings.Repeat("x", 1000)
			added := 0
			for s.Err() == nil {
				for ; s.Unsynced() < unsynced && s.Err() == nil; added++ { // as connections do, which look before they append
					s.add("a", text)
				}
				s.serveWaiting()
			}
			s.serveUntil(func() bool { return s.Unsynced() == 0 })
			assert.Len(t, s.entries("a"), added)
			s.add("b", "kept")
			s.remove("a")
			s.Died(added)
			s.serveUntil(func() bool { return s.Err() == nil })
			s.add("b", "text")
			s.stop()
			require.NoError(t, s.Close(0))
			s = open(t, o)
			assert.Equal(t, []string{"kept", "text"}, s.entries("b"))
			assert.Nil(t, s.Streams().Lookup([]byte("a")))
			require.NoError(t, s.Close(0))
		})
	}
}

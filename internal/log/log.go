package log

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the settings of a log.
type Options struct {
	Files Files
	Fsync Fsync
	// SegmentSize is about how long a segment is; 64 MiB if it is 0.
	SegmentSize int64
	// Recent is how many bytes of memory keep what was written last; 16 MiB if it is 0. What is not yet promised stays beyond it.
	Recent int64
	// Reserve is how many bytes of the disk are kept free for what is accepted before the disk is full, and for what deletes entries then. 0 is
	// none.
	Reserve int64
	// Spans passes to add what entries a record has. It is pure, and any goroutine may call it. Without it there is no index.
	Spans func(kind byte, payload []byte, add func(Span))
	// Live returns the parts of spans that have visible entries, in the same order. The spans ascend by key and ordinal. What it once left out
	// is never visible again. The rewriter calls it, off the core; it may visit the core, and returns spans as they are once that has stopped.
	// Without it nothing is written again.
	Live func(spans []Span) []Span
	// Keep appends a payload to dst that has, of the entries in a payload, those in live alone. These are of one key, and keep their ordinals. It
	// is pure.
	Keep func(dst []byte, kind byte, payload []byte, live []Span) []byte
	// Gather is how long the writer waits for more records before it writes, so that it writes them together: for nothing that waits for
	// them, but for Sync. 0 is not at all.
	Gather time.Duration
	// CompactRate is how many bytes a second are read and written to write segments again; 0 is no bound.
	CompactRate int64
	// Progress is called after each group, by one goroutine at a time, with numbers that never go back. It may wait for the core.
	Progress func(Progress)
}

// Span is entries of one key that follow each other.
type Span struct {
	Key   uint64
	First uint64 // the ordinal of the first
	Count int
}

const (
	defaultSegmentSize = 64 << 20
	minSegmentSize     = 1 << 10
	defaultRecent      = 16 << 20
)

func (o *Options) setDefaults() {
	if o.SegmentSize == 0 {
		o.SegmentSize = defaultSegmentSize
	}
	o.SegmentSize = max(o.SegmentSize, minSegmentSize)
	if o.Recent == 0 {
		o.Recent = defaultRecent
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
}

// Progress is how far the log is: numbers of records.
type Progress struct {
	Written  uint64 // the operating system has it
	Synced   uint64 // the disk has it
	Promised uint64 // as far as the policy demands: Synced under Always, else Written
	Err      error  // a write or a sync failed: nothing more is promised
}

// Stats is what a log has done and has.
type Stats struct {
	Segments       int
	Bytes          int64 // of the segments, from their beginning to their last record
	Recent         int64 // of memory
	Writes, Syncs  uint64
	Groups         uint64 // of records that were written, and under Always synced, together
	AppendedBytes  int64  // since Open, headers included
	UnsyncedBytes  int64
	UnsyncedNumber uint64 // how many records are appended and not synced

	Removed, Rewritten uint64 // segments without a visible entry; those of which the visible entries were written again
	RewrittenBytes     int64
	RewriteReadBytes   int64
	Visible            int64 // about how many bytes of the segments belong to visible entries, as last seen
	// Repacked are segments that were written again as they are: with another key, or in full frames.
	Repacked     uint64
	RewriteError error // of the last time that the rewriter looked; it tries again
}

// Log is a log that is open.
type Log struct {
	o         Options
	files     Files
	recovered Recovery
	pool      *chunkPool

	failure  atomic.Pointer[error] // final
	full     atomic.Bool           // there is no space for the next segment, for what is to be written, or for the reserve
	reserve  reserve
	unsynced atomic.Int64

	mu      sync.Mutex // guards what follows, for short: the core takes it
	changed *sync.Cond // broadcast when totals or the state change, for those that wait off the core
	meta    meta
	view    *view
	chunks  []*chunk // oldest first; the last is appended to
	recent  int64    // bytes of their memory
	next    uint64   // the number of the next record
	marked  uint64   // what the last mark has
	cut     bool     // files were cut or sealed since Open
	closing bool     // nothing is appended any more
	// stopping ends the writer.
	stopping bool
	// Bytes since Open: appended, of them written, of them synced.
	appended, written, synced int64
	progress                  Progress
	stats                     Stats

	// The writer waits if idle is set; the appender then wakes it.
	idle bool
	wake chan struct{}
	// gathering: it waits for more records, or for its time.
	gathering bool
	task      func() // what the writer does once it has written all

	closed     chan struct{} // closed when closing is set
	metaWrites diskLock      // held while log.meta is written
	reporting  sync.Mutex    // held while Progress is called, so that reports keep their order
	rewriting  diskLock      // held while segments are removed or written again
	goroutine  sync.WaitGroup
	writer     writer
	syncer     syncer
	rewriter   *rewriter
	indexes    segmentCache[*part]
	orders     segmentCache[*recordOrder]
}

// Append adds a record and returns its number. It copies the payload, and never waits for a disk: the core calls it. After a final
// failure, and once the log is closed, it returns 0.
func (l *Log) Append(kind byte, payload []byte) uint64 { return l.AppendTerm(0, kind, payload) }

// AppendTerm is Append for a replicated log.
func (l *Log) AppendTerm(term uint64, kind byte, payload []byte) uint64 {
	if kind >= MaxKind || len(payload) > MaxPayload {
		panic("log: a record of that kind or length cannot be appended")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing || l.progress.Err != nil {
		return 0
	}
	// Syncs that run beside the writer leave few places where all before is synced. A mark proves them instead of the bit.
	if synced := l.progress.Synced; synced > l.marked && l.synced < l.appended {
		l.marked = synced
		l.append(Record{Number: l.next, Kind: kindMark, Payload: encodeNumber(synced)})
	}
	number := l.next
	l.append(Record{Number: number, Term: term, Kind: kind, Payload: payload})
	return number
}

// append adds a record, also one of the log's own. The caller holds the lock.
func (l *Log) append(r Record) {
	size := headerSize + len(r.Payload)
	c := l.room(size)
	if isLarge(len(r.Payload)) {
		// The writer sums a large payload, and sets the sum in what it writes. Join makes no zeros first.
		header := appendHeader(nil, c.segment.salt, r, 0)
		l.recent -= int64(cap(c.buf))
		c.buf = bytes.Join([][]byte{c.buf, header, r.Payload}, nil)
		l.recent += int64(cap(c.buf))
	} else {
		c.buf = appendRecord(c.buf, c.segment.salt, r)
	}
	if !own(r.Kind) {
		l.next++
		c.last, c.segment.last = r.Number, r.Number
	}
	c.segment.end += int64(size)
	l.count(c, size)
	if !l.gathering || l.appended-l.written >= gatherBytes {
		l.wakeWriter()
	}
}

// count counts bytes that were added to c.
func (l *Log) count(c *chunk, size int) {
	l.appended += int64(size)
	c.behind = l.appended
	l.unsynced.Store(l.appended - l.promised())
}

// promised is up to which byte the policy is satisfied.
func (l *Log) promised() int64 {
	if l.o.Fsync == No {
		return l.written
	}
	return l.synced
}

// room returns the chunk for a record of that size: the last, or a new one, in a new segment if the last is long enough.
func (l *Log) room(size int) *chunk {
	segments := l.view.segments
	var s *segment
	if n := len(segments); n > 0 {
		s = segments[n-1]
	}
	if s == nil || s.sealed || s.last >= s.first && s.end+int64(size) > l.o.SegmentSize {
		s = l.beginSegment()
		return l.addChunk(s, segmentHeaderSize+size)
	}
	if n := len(l.chunks); n > 0 {
		if c := l.chunks[n-1]; c.segment == s && cap(c.buf)-len(c.buf) >= size {
			return c
		}
	}
	return l.addChunk(s, size)
}

// beginSegment adds a segment to the list. The writer gives it a file later.
func (l *Log) beginSegment() *segment {
	id := uint64(1)
	if n := len(l.view.segments); n > 0 {
		id = l.view.segments[n-1].id + 1
	}
	s := &segment{id: id, first: l.next, last: l.next - 1, salt: newSalt(l.meta.secret, id), head: l.meta.head, index: l.newIndex()}
	l.addSegment(s)
	return s
}

// addChunk begins a chunk at the end of s. In a new segment it begins with the header of that.
func (l *Log) addChunk(s *segment, size int) *chunk {
	c := &chunk{segment: s, at: s.end, buf: l.pool.get(size), last: l.next - 1, pool: l.pool}
	c.refs.Store(1)
	l.chunks = append(l.chunks, c)
	l.recent += int64(cap(c.buf))
	if s.end == 0 {
		c.buf = appendSegmentHeader(c.buf, s, l.meta.secret)
		s.end = segmentHeaderSize
		l.count(c, segmentHeaderSize)
	}
	return c
}

// newIndex makes the index of a segment that begins.
func (l *Log) newIndex() recordIndex {
	if l.o.Spans == nil {
		return nil
	}
	return newIndex(l.o.Spans)
}

// Err returns why appends are refused now: ErrFull while the disk has no space, or the final failure. Nil means that they are
// accepted. What takes less space may be appended in spite of ErrFull. The core may call it.
func (l *Log) Err() error {
	if err := l.Failed(); err != nil {
		return err
	}
	if l.full.Load() {
		return ErrFull
	}
	return nil
}

// Failed returns the failure of a write or a sync, which is final. The core may call it.
func (l *Log) Failed() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Unsynced returns how many bytes are appended and not synced yet; under No, not written yet. Any goroutine may call it.
func (l *Log) Unsynced() int64 { return l.unsynced.Load() }

// Last returns the number of the last record that was appended, 0 if there is none.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next - 1
}

// Head returns the number of the first record that opening needs.
func (l *Log) Head() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.meta.head
}

// Progress returns how far the log is.
func (l *Log) Progress() Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress
}

// Stats returns counts.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := l.stats
	stats.Segments = len(l.view.segments)
	for _, s := range l.view.segments {
		stats.Bytes += s.end
	}
	stats.Recent = l.recent
	stats.AppendedBytes, stats.UnsyncedBytes = l.appended, l.appended-l.synced
	stats.UnsyncedNumber = l.next - 1 - l.progress.Synced
	return stats
}

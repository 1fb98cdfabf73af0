package log

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// foundSegment is a segment as Open finds it.
type foundSegment struct {
	*segment
	size      int64
	header    bool  // its header is whole
	trailer   bool  // its trailer is whole, so all its records were synced
	stop      bool  // a clean stop wrote it
	sealedEnd int64 // then: the offset behind the records
	indexed   bool  // its records end by an index, and it has no trailer
	scanned   bool
}

// recoverer reads what is there.
type recoverer struct {
	l        *Log
	after    uint64
	apply    func(Record) error
	segments []*foundSegment
	head     uint64   // that of log.meta as it is on the disk
	next     uint64   // the number of the record that is expected
	gaps     []Damage // numbers that no segment has; below the head they need not be there
	clean    bool     // the last record is that of a clean stop
}

// recover fills the log with what its directory has.
func (l *Log) recover(after uint64, apply func(Record) error) error {
	names, err := l.files.List()
	if err != nil {
		return err
	}
	if err := removeTemporary(l.files, names); err != nil {
		return err
	}
	r := &recoverer{l: l, after: after, apply: apply}
	if err := r.openSegments(names); err != nil {
		return err
	}
	if err := r.readMeta(); err != nil {
		return err
	}
	if err := r.readEnds(); err != nil {
		return err
	}
	if head := l.meta.head; after+1 < head {
		return fmt.Errorf("log: the records from %d on are needed, and those before %d are no longer kept: the checkpoint is too old", after+1, head)
	}
	if err := r.keepHead(); err != nil {
		return err
	}
	if err := r.dropUnused(); err != nil {
		return err
	}
	if err := r.scanAll(); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	if err := r.makeDurable(); err != nil {
		return err
	}
	r.fill()
	return nil
}

// openSegments opens all segments, in their order.
func (r *recoverer) openSegments(names []string) error {
	for _, name := range names {
		id, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		f, err := r.l.files.Open(name)
		if err != nil {
			return err
		}
		s := &foundSegment{segment: &segment{id: id}}
		s.opened.Store(&f)
		r.segments = append(r.segments, s)
		if s.size, err = f.Size(); err != nil {
			return err
		}
	}
	slices.SortFunc(r.segments, func(a, b *foundSegment) int { return int(a.id) - int(b.id) }) //nolint:gosec // few
	return nil
}

// readMeta reads log.meta, or makes it. The secret is in the segments, too.
func (r *recoverer) readMeta() error {
	b, err := ReadFile(r.l.files, metaName)
	if err == nil {
		if r.l.meta, err = parseMeta(b); err == nil || errors.Is(err, ErrNewer) {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, s := range r.segments {
		if h, whole := r.readHeader(s); whole {
			r.l.meta = meta{secret: h.secret, head: 1}
			r.l.recovered.Damages = append(r.l.recovered.Damages, Damage{File: metaName, First: 1})
			return nil
		}
	}
	if errors.Is(err, errMeta) && len(r.segments) > 0 {
		return fmt.Errorf("%w, and no segment has a whole header", err)
	}
	var secret [8]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return err
	}
	r.l.meta = meta{secret: binary.LittleEndian.Uint64(secret[:]), head: 1}
	return r.l.writeMeta(r.l.meta)
}

func (r *recoverer) readHeader(s *foundSegment) (segmentHeader, bool) {
	b := make([]byte, segmentHeaderSize)
	if _, err := s.file().ReadAt(b, 0); err != nil {
		return segmentHeader{}, false
	}
	return parseSegmentHeader(b)
}

// keepHead stores a head that a segment alone has, from a Reset that was cut off: the segment may be removed next. What is left of a log.meta
// that is damaged stays.
func (r *recoverer) keepHead() error {
	if r.l.meta.head == r.head || len(r.l.recovered.Damages) > 0 {
		return nil
	}
	return r.l.writeMeta(r.l.meta)
}

// readEnds reads the header and the trailer of each segment.
func (r *recoverer) readEnds() error {
	r.head = r.l.meta.head
	for _, s := range r.segments {
		s.salt = newSalt(r.l.meta.secret, s.id)
		s.end = segmentHeaderSize
		var h segmentHeader
		if h, s.header = r.readHeader(s); !s.header && h.format > segmentFormat {
			return errNewer(s.name(), h.format, segmentFormat)
		}
		if s.header {
			if h.secret != r.l.meta.secret {
				return fmt.Errorf("%s belongs to another log", s.name())
			}
			s.first, s.head, s.rewritten = h.first, h.head, h.rewritten
			r.l.meta.head = max(r.l.meta.head, h.head)
		}
		if s.rewritten { // it had its name once it was synced
			s.trailer, s.sealed = true, true
			s.sealedEnd, s.last = h.end, h.last
			continue
		}
		if s.size < segmentHeaderSize+trailerSize {
			continue
		}
		b := make([]byte, trailerSize)
		if _, err := s.file().ReadAt(b, s.size-trailerSize); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if t, whole := parseTrailer(b, s.salt); whole && t.end <= s.size-trailerSize && t.last >= s.first-1 {
			s.trailer, s.sealed = true, true
			s.sealedEnd, s.last, s.stop = t.end, t.last, t.stop
		}
	}
	return nil
}

// dropUnused removes segments at the end that were allocated and never written.
func (r *recoverer) dropUnused() error {
	for n := len(r.segments); n > 0 && !r.segments[n-1].header; n-- {
		last := r.segments[n-1]
		if end, err := usedEnd(last.file(), 0, last.size); err != nil || end > 0 {
			return err
		}
		if err := r.remove(n - 1); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the i-th segment.
func (r *recoverer) remove(i int) error {
	s := r.segments[i]
	if err := s.file().Close(); err != nil {
		return err
	}
	r.segments = slices.Delete(r.segments, i, i+1)
	return r.l.files.Remove(s.name())
}

// usedEnd returns the offset behind the last byte that is not zero, from an offset on; 0 if there is none.
func usedEnd(f io.ReaderAt, at, size int64) (end int64, err error) {
	buf := make([]byte, max(0, min(readerSize, size-at)))
	for at < size {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if n == 0 {
			break
		}
		if used := trimZeros(buf[:n]); len(used) > 0 {
			end = at + int64(len(used))
		}
		at += int64(n)
	}
	return end, nil
}

// zeros is what is allocated ahead.
var zeros [4 << 10]byte

// trimZeros returns b without the zeros at its end.
func trimZeros(b []byte) []byte {
	for len(b) >= len(zeros) && bytes.Equal(b[len(b)-len(zeros):], zeros[:]) {
		b = b[:len(b)-len(zeros)]
	}
	return bytes.TrimRight(b, "\x00")
}

// check compares what was found with what must be there.
func (r *recoverer) check() error {
	l := r.l
	if r.after >= r.next { // all of that was synced before the checkpoint was written
		d := Damage{File: metaName, First: r.next, Last: r.after}
		if n := len(r.segments); n > 0 {
			d.File, d.Offset = r.segments[n-1].name(), r.segments[n-1].end
		}
		r.gaps = append(r.gaps, d)
		r.next = r.after + 1
		r.clean = false
	}
	for _, gap := range r.gaps {
		if gap.Last >= l.meta.head {
			l.recovered.Damages = append(l.recovered.Damages, gap)
		}
	}
	return nil
}

// makeDurable syncs what was found, before it is served: a process that was killed leaves bytes in the memory of the operating
// system alone. It seals all segments to which nothing will be added.
func (r *recoverer) makeDurable() error {
	for i, s := range r.segments {
		mayGrow, err := r.mayGrow(i)
		if err != nil {
			return err
		}
		if s.stop && mayGrow && s.last+1 == r.next {
			if err := r.unseal(s); err != nil {
				return err
			}
			continue
		}
		if s.trailer && i < len(r.segments)-1 {
			continue
		}
		if err := s.file().Sync(); err != nil { // a trailer, too: the end of a clean stop is not written again
			return err
		}
		if s.trailer {
			continue
		}
		if mayGrow && s.header && !s.indexed && s.last+1 == r.next {
			continue // it goes on
		}
		if !s.scanned {
			s.sealed = true // not one of its records is whole
			continue
		}
		if err := r.l.seal(s.segment, false); err != nil {
			return err
		}
		r.l.cut = true // the end of the segment is not durable: a clean stop needs a record behind it
	}
	return r.l.files.SyncDir()
}

// mayGrow reports whether the i-th segment is the last one, and has the compression and the key of a new one.
func (r *recoverer) mayGrow(i int) (bool, error) {
	x, ok := r.segments[i].file().(*handle)
	if i < len(r.segments)-1 || !ok {
		return i == len(r.segments)-1, nil
	}
	return x.isCurrent()
}

// unseal makes the last segment one that grows again. Its trailer is gone before anything is written: it would end the segment there.
func (r *recoverer) unseal(s *foundSegment) error {
	if r.l.o.Spans != nil && s.index == nil {
		x, err := r.l.loadIndex(s.segment)
		if errors.Is(err, errIndex) {
			return nil // it stays sealed, and its index is made again
		}
		if err != nil {
			return err
		}
		s.index = x
	}
	if err := s.file().Truncate(s.sealedEnd); err != nil {
		return err
	}
	s.sealed = false
	return s.file().Sync()
}

// fill makes what was found the state of the log.
func (r *recoverer) fill() {
	l := r.l
	segments := make([]*segment, 0, len(r.segments)+1)
	for _, s := range r.segments {
		if s.sealed {
			s.index = nil // the file has it
		}
		segments = append(segments, s.segment)
	}
	l.next, l.marked = r.next, r.next-1
	l.setProgress(r.next - 1)
	l.setView(segments, nil)
	if n := len(segments); n > 0 {
		l.writer.segment = segments[n-1]
	}
	l.recovered.Last, l.recovered.Head, l.recovered.Epochs = r.next-1, l.meta.head, slices.Clone(l.meta.epochs)
	l.recovered.Clean = r.clean || len(segments) == 0
}

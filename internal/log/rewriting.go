package log

import (
	"errors"
	"slices"
)

// errNothingVisible ends a rewriting: the segments can be removed instead.
var errNothingVisible = errors.New("log: no entry is visible")

// rewriteBuffer is how much is written at once.
const rewriteBuffer = 256 << 10

// rewriting writes a segment in the place of others: what is visible in them, by stream and ordinal. It has the id of the first one.
//
// After a crash there are the old segments and a temporary file, or the new segment and some of the old ones: Open removes what is too
// much. A record of several streams becomes several records of the same number.
type rewriting struct {
	l       *Log
	old     []*segment
	reading *segment // of the old ones, the one that is read
	segment *segment
	secret  uint64
	file    File
	at      int64  // the offset behind the last record
	buf     []byte // what is not written yet
	index   partWriter

	batch   []oldExtent
	entries int    // in it
	bytes   []byte // of an extent
	payload []byte // of a record of which not all is visible
	spans   []Span // of a record
	read    int64  // bytes of the old segments
	unpaced int64  // bytes read and not yet passed to throttle
	err     error
}

// oldExtent is an extent of one of the old segments.
type oldExtent struct {
	extent
	segment *segment
}

func newRewriting(l *Log, old []*segment) *rewriting {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := old[0]
	s := &segment{
		id: first.id, first: first.first, last: old[len(old)-1].last, salt: newSalt(l.meta.secret, first.id), head: l.meta.head,
		rewritten: true, sealed: true,
	}
	return &rewriting{l: l, old: old, segment: s, secret: l.meta.secret, at: segmentHeaderSize}
}

// run copies what is visible.
func (w *rewriting) run() error {
	parts := make([]*part, len(w.old))
	for i, s := range w.old {
		if err := w.l.withPart(s, func(p *part) error {
			parts[i] = p
			return nil
		}); err != nil {
			return err
		}
	}
	var err error
	if w.file, err = w.l.files.Create(w.segment.name()+temporary, 0); err != nil {
		return err
	}
	err = mergeParts(parts, func(i int, e extent) bool {
		w.batch = append(w.batch, oldExtent{e, w.old[i]})
		if w.entries += spanOf(e).Count; len(w.batch) == spansAtOnce || w.entries >= entriesAtOnce {
			w.copyBatch()
		}
		return w.err == nil
	})
	w.copyBatch()
	return errors.Join(w.err, err)
}

// copyBatch copies what is visible of some extents.
func (w *rewriting) copyBatch() {
	if w.err == nil && w.l.isClosing() {
		w.err = ErrClosed
	}
	var spans []Span
	for _, e := range w.batch {
		s := spanOf(e.extent)
		if n := len(spans) - 1; n >= 0 && spans[n].Key == s.Key && spans[n].First+uint64(spans[n].Count) == s.First { //nolint:gosec // positive
			spans[n].Count += s.Count
		} else {
			spans = append(spans, s)
		}
	}
	if len(spans) > 0 && w.err == nil {
		live := w.l.o.Live(spans)
		for _, e := range w.batch {
			for len(live) > 0 && !overlapsOrFollows(live[0], e.extent) {
				live = live[1:]
			}
			n := 0
			for n < len(live) && live[n].Key == e.key && live[n].First <= e.last {
				n++
			}
			if n > 0 && w.err == nil {
				w.err = w.copyExtent(e, live[:n])
			}
		}
	}
	w.batch, w.entries = w.batch[:0], 0
}

// overlapsOrFollows reports whether a span ends within an extent, or behind it.
func overlapsOrFollows(s Span, e extent) bool {
	return s.Key > e.key || s.Key == e.key && s.First+uint64(s.Count)-1 >= e.first //nolint:gosec // positive
}

// copyExtent copies the records of an extent, with what is in live.
func (w *rewriting) copyExtent(e oldExtent, live []Span) error {
	w.reading = e.segment
	w.bytes = slices.Grow(w.bytes[:0], int(e.length))[:e.length]
	if _, err := e.segment.file().ReadAt(w.bytes, e.offset); err != nil {
		return err
	}
	if err := w.count(e.length); err != nil {
		return err
	}
	var err error
	walk(w.bytes, e.segment.salt, func(_ int64, r Record) bool {
		if err == nil {
			err = w.copyRecord(e.key, r, live)
		}
		return err == nil
	}, func(at int64, r Record) {
		err = errors.Join(err, &Damage{File: e.segment.name(), Offset: e.offset + at, First: r.Number, Last: r.Number})
	})
	if cap(w.bytes) > maxWindow {
		w.bytes = nil
	}
	return err
}

// copyRecord copies what a record has of key, as far as it is in live.
func (w *rewriting) copyRecord(key uint64, r Record, live []Span) error {
	all, others, kept := 0, false, 0
	w.spans = w.spans[:0]
	w.l.spansOf(r, func(s Span) {
		if s.Count <= 0 {
			return
		}
		if s.Key != key {
			others = true
			return
		}
		all += s.Count
		for _, l := range live {
			first := max(s.First, l.First)
			end := min(s.First+uint64(s.Count), l.First+uint64(l.Count)) //nolint:gosec // positive
			if first < end {
				w.spans = append(w.spans, Span{key, first, int(end - first)}) //nolint:gosec // at most Count
				kept += int(end - first)                                      //nolint:gosec // the same
			}
		}
	})
	if kept == 0 {
		return nil
	}
	r.Kind &^= behindSync
	if others || kept < all {
		w.payload = w.l.o.Keep(w.payload[:0], r.Kind, r.Payload, w.spans)
		r.Payload = w.payload
	}
	at := w.at
	if err := w.append(r); err != nil {
		return err
	}
	for _, s := range w.spans {
		w.index.add(extent{key, s.First, s.First + uint64(s.Count) - 1, at, w.at - at}) //nolint:gosec // positive
	}
	if cap(w.payload) > maxWindow {
		w.payload = nil
	}
	return nil
}

// count counts bytes that were read.
func (w *rewriting) count(n int64) error {
	w.read += n
	if w.unpaced += n; w.unpaced < rewriteBuffer {
		return nil
	}
	n, w.unpaced = w.unpaced, 0
	if !w.l.throttle(n) {
		return ErrClosed
	}
	return nil
}

func (w *rewriting) append(r Record) error {
	w.buf = appendRecord(w.buf, w.segment.salt, r)
	w.at += headerSize + int64(len(r.Payload))
	if len(w.buf) < rewriteBuffer {
		return nil
	}
	return w.flush()
}

// flush writes what is in the buffer, which ends at w.at.
func (w *rewriting) flush() error {
	n, err := writeAll(w.file, w.buf, w.at-int64(len(w.buf)))
	if err == nil && !w.l.throttle(int64(n)) {
		err = ErrClosed
	}
	w.buf = w.buf[:0]
	if cap(w.buf) > 2*rewriteBuffer {
		w.buf = nil
	}
	return err
}

// finish writes the index, the trailer and the header, and renames the file once it is durable.
func (w *rewriting) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	s := w.segment
	s.end = w.at
	b := appendRecord(nil, s.salt, Record{Number: s.last + 1, Kind: kindIndex, Payload: w.index.finish().appendTo(nil)})
	b = appendTrailer(b, s.salt, trailer{s.end, s.last, false})
	if _, err := writeAll(w.file, b, s.end); err != nil {
		return err
	}
	b = appendSegmentHeader(b[:0], s, w.secret)
	if _, err := writeAll(w.file, b, 0); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil { // else the new name could lead to an empty file
		return err
	}
	if err := w.l.files.Rename(s.name()+temporary, s.name()); err != nil {
		return err
	}
	if err := w.l.files.SyncDir(); err != nil { // else the old segments could be gone, and the new one not be there
		return err
	}
	s.opened.Store(&w.file)
	return nil
}

// abandon removes the temporary file.
func (w *rewriting) abandon() {
	if w.file == nil {
		return
	}
	_ = w.file.Close()
	_ = w.l.files.Remove(w.segment.name() + temporary) // what is left of it is removed by Open
}

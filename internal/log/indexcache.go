package log

import "errors"

// maxIndexes bounds the memory of the indexes of sealed segments, which are read from their files when they are needed. One of a segment of
// 64 MiB takes 1 to 60 KiB, but for one that had to be made again: 1 to 4 MiB.
const maxIndexes = 16 << 20

// growing returns the index of a segment that is not sealed, or nil.
func (l *Log) growing(s *segment) *index {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, _ := s.index.(*index)
	return x
}

// spansOf passes to add what entries a record has: the log's own have none.
func (l *Log) spansOf(r Record, add func(Span)) {
	if !own(r.Kind) {
		l.o.Spans(r.Kind&^behindSync, r.Payload, add)
	}
}

// find appends the extents of a segment with ordinals from first to last of key, at most until dst has most of them: in order, or from
// the last one on. What stands behind the offset end is not in the index yet.
func (l *Log) find(s *segment, dst []extent, key, first, last uint64, most int, back bool) (found []extent, end int64, err error) {
	if x := l.growing(s); x != nil {
		if back {
			return x.findBack(dst, key, first, last, most)
		}
		return x.find(dst, key, first, last, most)
	}
	err = l.withPart(s, func(p *part) error {
		var err error
		if back {
			found, err = p.findBack(dst, key, first, last, most)
		} else {
			found, err = p.find(dst, key, first, last, most)
		}
		return err
	})
	return found, maxOffset, err
}

// withPart calls f with the index of a sealed segment, and once more if it turns out not to be whole: then it is made again.
func (l *Log) withPart(s *segment, f func(p *part) error) error {
	p := l.indexes.get(s)
	var err error
	if p == nil {
		if p, err = l.openIndex(s); err == nil {
			l.indexes.put(s, p)
		}
	}
	if err == nil {
		err = f(p)
	}
	if !errors.Is(err, errIndex) {
		return err
	}
	if p, err = l.rebuildIndex(s); err != nil {
		return err
	}
	return f(p)
}

// openIndex opens the index behind the records of a segment.
func (l *Log) openIndex(s *segment) (*part, error) {
	end := l.endOf(s)
	f := s.file()
	if f == nil {
		return nil, errIndex
	}
	var b [headerSize]byte
	if n, _ := f.ReadAt(b[:], end); n < headerSize { // a file that ends there has no index
		return nil, errIndex
	}
	r, length, whole := parseHeader(b[:], s.salt)
	if !whole || r.Kind&^behindSync != kindIndex {
		return nil, errIndex
	}
	return openPart(f, end+headerSize, end+headerSize+int64(length))
}

// loadIndex reads the index of a segment that is to grow again.
func (l *Log) loadIndex(s *segment) (*index, error) {
	p, err := l.openIndex(s)
	if err != nil {
		return nil, err
	}
	if err := p.load(); err != nil {
		return nil, err
	}
	x := newIndex(l.o.Spans)
	x.parts, x.end = []levelPart{{p, loadedLevel}}, l.endOf(s)
	return x, nil
}

// endOf returns the offset behind the records of a segment.
func (l *Log) endOf(s *segment) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.end
}

// rebuildIndex makes the index of a sealed segment from its records. What is not whole is left out.
func (l *Log) rebuildIndex(s *segment) (*part, error) {
	l.indexes.making.Lock()
	defer l.indexes.making.Unlock()
	if p := l.indexes.get(s); p != nil && p.file == nil {
		return p, nil
	}
	x := newIndex(l.o.Spans)
	rd := newReader(s.file(), s.salt, segmentHeaderSize, l.endOf(s))
	for rd.at < rd.size {
		at := rd.at
		r, err := rd.next()
		switch {
		case err == nil:
			r.Kind &^= behindSync
			x.add(at, r)
		case !errors.Is(err, errBroken):
			return nil, err
		default:
			if err := rd.skipBroken(); err != nil {
				return nil, err
			}
		}
	}
	p := x.seal()
	l.indexes.put(s, p)
	return p, nil
}

// skipBroken goes from a record that is not whole to the next header that is.
func (r *reader) skipBroken() error {
	if _, length, err := r.header(); err == nil {
		r.at += int64(headerSize + length) // its payload is not whole
		return nil
	}
	for r.at++; r.size-r.at >= headerSize; r.at++ {
		if err := r.skip(); err != nil {
			return err
		}
		if _, _, err := r.header(); !errors.Is(err, errBroken) {
			return err
		}
	}
	r.at = r.size
	return nil
}

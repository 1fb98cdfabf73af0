package log

import "errors"

// Scan passes the records numbered from to to, as far as they are kept, to f in order. A payload is valid during the call. A record that is
// not whole ends it with a [*Damage]. It may wait for the disk.
func (l *Log) Scan(from, to uint64, f func(Record) error) error {
	v := l.retainView()
	defer v.release()
	from = max(from, l.Head())
	for _, s := range v.segments {
		l.mu.Lock()
		first, last, end := s.first, s.last, s.end
		l.mu.Unlock()
		if last < from || first > to {
			continue
		}
		if err := l.scanSegment(s, end, func(r Record) error {
			if own(r.Kind) || r.Number < from || r.Number > to {
				return nil
			}
			r.Kind &^= behindSync
			return f(r)
		}); err != nil {
			return err
		}
	}
	return nil
}

// scanSegment passes all records of one segment to f, from memory where they are there.
func (l *Log) scanSegment(s *segment, end int64, f func(Record) error) error {
	next := s.first
	for at := int64(segmentHeaderSize); at < end; {
		c, b := l.chunkAt(s, at)
		if c == nil {
			rd := newReader(s.file(), s.salt, at, min(end, l.nextChunk(s, at)))
			for rd.at < rd.size {
				r, err := rd.next()
				if errors.Is(err, errBroken) {
					return &Damage{File: s.name(), Offset: rd.at, First: next, Last: next}
				}
				if err == nil {
					err = f(r)
				}
				if err != nil {
					return err
				}
				next = r.Number + 1
			}
			at = rd.at
			continue
		}
		err := eachRecord(b[:min(int64(len(b)), end-at)], s.salt, f)
		at += int64(len(b))
		c.release()
		if err != nil {
			return err
		}
	}
	return nil
}

// eachRecord passes the records of a chunk to f. Their sums are not compared: memory has them as they were appended. If the tail was cut meanwhile,
// and others were appended, the last one may end behind what was the end of the segment: it is none of those that were to be read.
func eachRecord(b []byte, salt uint32, f func(Record) error) error {
	for len(b) > 0 {
		r, length, _ := parseHeader(b, salt)
		size := headerSize + length
		if size > len(b) {
			break
		}
		r.Payload = b[headerSize:size:size]
		if err := f(r); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// nextChunk returns the offset at which the first chunk behind an offset of s begins; without one, a large number.
func (l *Log) nextChunk(s *segment, at int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.chunks {
		if c.segment == s && c.at > at {
			return c.at
		}
	}
	return 1 << 62
}

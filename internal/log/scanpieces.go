package log

import (
	"errors"
	"io"
)

// pieceSize is about how many bytes of records one piece of a Scan has.
const pieceSize = 256 << 10

// Scan reads all records, in the order of their numbers, as they are at one instant: what is appended later is not in it. It belongs to one
// goroutine, and waits for the disk.
//
// It comes piece by piece. In a segment that was written again by stream, a record may have become several with its number.
type Scan struct {
	log      *Log
	segments []*segment
	view     *view
	end      int64 // of the last segment

	i     int          // the segment
	at    int64        // the offset in it of the record to go on with; of one that was written again, its place in order
	order *recordOrder // of that segment, nil before it is needed

	window []byte
	chunk  *chunk // holds the piece that was passed last
}

// NewScan returns a scan from the oldest record on.
func (l *Log) NewScan() *Scan {
	s := &Scan{log: l, view: l.retainView()}
	if s.segments = s.view.segments; len(s.segments) > 0 {
		s.end = l.endOf(s.segments[len(s.segments)-1])
	}
	s.enter(0)
	return s
}

// Release ends the scan.
func (s *Scan) Release() {
	s.drop()
	s.view.release()
}

// drop gives up the memory of the last piece.
func (s *Scan) drop() {
	if s.chunk != nil {
		s.chunk.release()
		s.chunk = nil
	}
}

// enter goes to the beginning of a segment.
func (s *Scan) enter(i int) {
	s.i, s.order, s.at = i, nil, segmentHeaderSize
	if i < len(s.segments) && s.segments[i].rewritten {
		s.at = 0
	}
}

// endOf is the offset behind the records of a segment.
func (s *Scan) endOf(i int) int64 {
	if i == len(s.segments)-1 {
		return s.end
	}
	return s.log.endOf(s.segments[i])
}

// Next passes the records of the next piece to f. Their payloads are valid until the next call. One that is not whole is passed to broken
// in its place. It returns false at the end.
func (s *Scan) Next(f func(Record), broken func(*Damage)) (more bool, err error) {
	s.drop()
	for s.i < len(s.segments) {
		g := s.segments[s.i]
		if g.rewritten {
			more, err = s.nextInOrder(g, f, broken)
		} else if end := s.endOf(s.i); s.at < end {
			more, err = true, s.nextPiece(g, end, f, broken)
		} else {
			more = false
		}
		if more || err != nil {
			return more, err
		}
		s.enter(s.i + 1)
	}
	return false, nil
}

// nextPiece passes the records of a piece of a segment in the order of the log.
func (s *Scan) nextPiece(g *segment, end int64, f func(Record), broken func(*Damage)) error {
	b, err := s.bytes(g, end)
	if err != nil {
		return err
	}
	used := pieceOf(b, g.salt)
	for used < 0 && int64(len(b)) < end-s.at { // a record that is larger than a piece
		if b, err = s.readFile(g, min(end-s.at, int64(-used))); err != nil {
			return err
		}
		used = pieceOf(b, g.salt)
	}
	if used < 0 { // it never ends: what is left is no record
		used = len(b)
	}
	walk(b[:used], g.salt, func(_ int64, r Record) bool {
		if !own(r.Kind) {
			r.Kind &^= behindSync
			f(r)
		}
		return true
	}, func(at int64, r Record) {
		broken(&Damage{File: g.name(), Offset: s.at + at, First: r.Number, Last: r.Number})
	})
	s.at += int64(used)
	return nil
}

// bytes returns what stands in a segment from s.at on, at most about a piece. It may end within a record.
func (s *Scan) bytes(g *segment, end int64) ([]byte, error) {
	if c, b := s.log.chunkAt(g, s.at); c != nil {
		s.chunk = c
		return b[:min(int64(len(b)), end-s.at)], nil
	}
	return s.readFile(g, min(pieceSize, end-s.at))
}

// readFile reads from s.at on. What has left memory is in the file.
func (s *Scan) readFile(g *segment, size int64) ([]byte, error) {
	size = min(size, s.log.nextChunk(g, s.at)-s.at)
	if int64(cap(s.window)) < size || cap(s.window) > 4*pieceSize && size <= pieceSize {
		s.window = make([]byte, size)
	}
	b := s.window[:size]
	n, err := g.file().ReadAt(b, s.at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}

// pieceOf returns the length of the whole records at the front of b, at most about a piece. Negative, it is minus the length of the first
// one, which does not end in b. What is broken is a piece of its own, up to the next header.
func pieceOf(b []byte, salt uint32) (used int) {
	for used < min(len(b), pieceSize) {
		_, length, whole := parseHeader(b[used:], salt)
		size := headerSize + length
		switch {
		case whole && size <= len(b)-used:
			used += size
		case used > 0:
			return used
		case whole || len(b) < headerSize:
			return -size
		default:
			for used = 1; len(b)-used >= headerSize; used++ {
				if _, _, whole := parseHeader(b[used:], salt); whole {
					break
				}
			}
			return used
		}
	}
	return used
}

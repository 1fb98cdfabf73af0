package log

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"sync/atomic"
)

const (
	// segmentHeaderSize: magic (7) and format (1), secret of the directory (8), first number (8), head (8), flags (4); of a rewritten segment the last number
	// (8) and the offset behind the records (8); reserved, CRC (4).
	segmentHeaderSize = 64
	// trailerSize: magic (8), offset behind the records (8), number of the last record (8), flags (4), CRC (4).
	trailerSize = 32

	segmentMagic  = "conchlg"
	segmentFormat = '1'
	trailerMagic  = "conchend"
	segmentEnd    = ".log"

	// flagRewritten is set in a segment that was written again: numbers are missing in it.
	flagRewritten = 1
	// flagStop is set in the trailer of a segment that is the last one at a clean stop. The next start goes on in it.
	flagStop = 1
)

// segment is one file of records that follow each other.
type segment struct {
	id        uint64
	first     uint64 // the number of its first record, or of the one that comes next
	salt      uint32
	head      uint64 // what opening needed when the segment began
	rewritten bool

	// Log.mu guards what follows.
	end    int64   // the offset behind the last record appended
	last   uint64  // its number; first-1 if there is none
	sealed bool    // its index and trailer are written
	stops  []int64 // see Scan.stops; the slice is replaced, not changed

	// opened is the file, nil before its first byte is written. The writer stores it; any goroutine that holds a view loads it.
	opened atomic.Pointer[File]
	// index is that of a segment that grows; nil without Options.Spans.
	index recordIndex
	// passed is how many bytes readers have read in vain, between what they wanted.
	passed atomic.Int64
}

// recordIndex collects what the index of a segment needs, record by record, in their order.
type recordIndex interface {
	// add takes a record that begins at an offset.
	add(at int64, r Record)
	// appendTo encodes the index.
	appendTo(b []byte) []byte
}

// file returns the file, or nil while nothing of the segment is written.
func (s *segment) file() File {
	if f := s.opened.Load(); f != nil {
		return *f
	}
	return nil
}

func (s *segment) name() string { return segmentName(s.id) }

func segmentName(id uint64) string { return fmt.Sprintf("%020d%s", id, segmentEnd) }

// parseSegmentName returns the id in the name of a segment.
func parseSegmentName(name string) (id uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentEnd)
	id, err := strconv.ParseUint(digits, 10, 64)
	return id, ok && err == nil && id > 0 && name == segmentName(id)
}

// newSalt derives the salt of a segment, so that records can be read even if the header of the segment is broken.
func newSalt(secret, id uint64) uint32 {
	b := binary.LittleEndian.AppendUint64(nil, secret)
	return crc32.Checksum(binary.LittleEndian.AppendUint64(b, id), castagnoli)
}

// appendSegmentHeader encodes the beginning of a segment.
func appendSegmentHeader(b []byte, s *segment, secret uint64) []byte {
	at := len(b)
	b = append(append(b, segmentMagic...), segmentFormat)
	b = binary.LittleEndian.AppendUint64(b, secret)
	b = binary.LittleEndian.AppendUint64(b, s.first)
	b = binary.LittleEndian.AppendUint64(b, s.head)
	flags := uint32(0)
	if s.rewritten {
		flags |= flagRewritten
	}
	b = binary.LittleEndian.AppendUint32(b, flags)
	if s.rewritten {
		b = binary.LittleEndian.AppendUint64(b, s.last)
		b = binary.LittleEndian.AppendUint64(b, uint64(s.end)) //nolint:gosec // an offset
	}
	b = append(b, make([]byte, segmentHeaderSize-4-(len(b)-at))...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

// segmentHeader is what stands at the beginning of a segment.
type segmentHeader struct {
	format              byte
	secret, first, head uint64
	rewritten           bool
	last                uint64 // of a rewritten segment
	end                 int64  // the same
}

func parseSegmentHeader(b []byte) (h segmentHeader, whole bool) {
	if len(b) < segmentHeaderSize || string(b[:7]) != segmentMagic {
		return h, false
	}
	b = b[:segmentHeaderSize]
	if crc32.Checksum(b[:segmentHeaderSize-4], castagnoli) != binary.LittleEndian.Uint32(b[segmentHeaderSize-4:]) {
		return h, false
	}
	if h.format = b[7]; h.format > segmentFormat {
		return h, false
	}
	h.secret = binary.LittleEndian.Uint64(b[8:])
	h.first = binary.LittleEndian.Uint64(b[16:])
	h.head = binary.LittleEndian.Uint64(b[24:])
	if h.rewritten = binary.LittleEndian.Uint32(b[32:])&flagRewritten != 0; h.rewritten {
		h.last = binary.LittleEndian.Uint64(b[36:])
		h.end = int64(binary.LittleEndian.Uint64(b[44:])) //nolint:gosec // the sum holds
	}
	return h, h.first > 0 && h.first <= maxNumber && h.head > 0 && h.head <= maxNumber
}

// trailer is what stands at the end of a sealed segment.
type trailer struct {
	end  int64  // the offset behind the records, which is that of the index
	last uint64 // the number of the last record
	stop bool   // a clean stop wrote it
}

// appendTrailer encodes a trailer. salt is the segment's.
func appendTrailer(b []byte, salt uint32, t trailer) []byte {
	at := len(b)
	b = append(b, trailerMagic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.end)) //nolint:gosec // an offset
	b = binary.LittleEndian.AppendUint64(b, t.last)
	flags := uint32(0)
	if t.stop {
		flags |= flagStop
	}
	b = binary.LittleEndian.AppendUint32(b, flags)
	return binary.LittleEndian.AppendUint32(b, crc32.Update(salt, castagnoli, b[at:]))
}

func parseTrailer(b []byte, salt uint32) (t trailer, whole bool) {
	if len(b) != trailerSize || string(b[:8]) != trailerMagic {
		return t, false
	}
	if crc32.Update(salt, castagnoli, b[:trailerSize-4]) != binary.LittleEndian.Uint32(b[trailerSize-4:]) {
		return t, false
	}
	t.end = int64(binary.LittleEndian.Uint64(b[8:])) //nolint:gosec // checked by the caller
	t.last = binary.LittleEndian.Uint64(b[16:])
	t.stop = binary.LittleEndian.Uint32(b[24:])&flagStop != 0
	return t, t.end >= segmentHeaderSize && t.last <= maxNumber
}

// seal writes the index and the trailer of a segment that is complete and synced, and gives back what was allocated behind
// them. It is not synced: an index that is not whole is made again from the records, and the trailer proves a sync. stop is set at a clean
// stop.
func (l *Log) seal(s *segment, stop bool) error {
	l.mu.Lock()
	end, last := s.end, s.last
	l.mu.Unlock()
	var payload []byte
	if s.index != nil {
		payload = s.index.appendTo(nil)
	}
	b := appendRecord(nil, s.salt, Record{Number: last + 1, Kind: kindIndex, Payload: payload})
	b = appendTrailer(b, s.salt, trailer{end, last, stop})
	f := s.file()
	if _, err := writeAll(f, b, end); err != nil {
		return err
	}
	if err := f.Truncate(end + int64(len(b))); err != nil {
		return err
	}
	if x, ok := f.(*handle); ok {
		if err := x.finish(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	s.sealed, s.index = true, nil // it is in the file from now on
	l.mu.Unlock()
	l.Dead() // perhaps it is mostly dead already
	return nil
}

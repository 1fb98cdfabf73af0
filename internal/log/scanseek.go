package log

import (
	"slices"
	"sort"
)

// stopDistance is about how far the stops of a segment are from each other.
const stopDistance = 256 << 10

// Seek goes to a record before all for which isBefore is false, and not far before them. That is a property of the order: once it is false,
// it stays so. Some records may not be known to have it; others, at most two for a segment and a few more, are read to find out.
func (s *Scan) Seek(isBefore func(Record) (before, known bool)) error {
	low, high := 0, len(s.segments) // all segments from high on begin behind what is looked for
	for high-low > 1 {
		middle := low + (high-low)/2
		i, before, err := s.nearest(middle, high, isBefore)
		switch {
		case err != nil:
			return err
		case before:
			low = i
		default:
			high = middle
		}
	}
	s.enter(low)
	if low == len(s.segments) {
		return nil
	}
	return s.seekIn(s.segments[low], isBefore)
}

// nearest returns the first segment from the one number to the other of which a record can tell whether it is before.
func (s *Scan) nearest(from, to int, isBefore func(Record) (before, known bool)) (i int, before bool, err error) {
	for i = from; i < to; i++ {
		before, known, err := s.sample(i, isBefore)
		if err != nil || known {
			return i, before, err
		}
	}
	return to, false, nil
}

// maxSampled is how many records of a segment are looked at for one that can tell.
const maxSampled = 16

// sample looks at the first records of a segment.
//
// In one that was written again any record serves: what is between two others in the order of segments is so in the order of records.
func (s *Scan) sample(i int, isBefore func(Record) (before, known bool)) (before, known bool, err error) {
	one := Scan{log: s.log, segments: s.segments, end: s.end, window: s.window}
	defer one.drop()
	one.i, one.at = i, segmentHeaderSize
	g, end, n := s.segments[i], s.endOf(i), 0
	if one.at >= end {
		return false, false, nil
	}
	b, err := one.head(g, end)
	if err != nil {
		return false, false, err
	}
	walk(b, g.salt, func(_ int64, r Record) bool {
		if !own(r.Kind) {
			before, known = isBefore(r)
			n++
		}
		return !known && n < maxSampled
	}, nil)
	return before, known, nil
}

// sampleSize is how many bytes are read for a sample.
const sampleSize = 4 << 10

// head returns the first bytes of a segment: a record at least.
func (s *Scan) head(g *segment, end int64) ([]byte, error) {
	if c, b := s.log.chunkAt(g, s.at); c != nil {
		s.chunk = c
		return b[:min(int64(len(b)), end-s.at)], nil
	}
	b, err := s.readFile(g, min(sampleSize, end-s.at))
	if err != nil {
		return nil, err
	}
	if used := pieceOf(b, g.salt); used < 0 {
		return s.readFile(g, min(end-s.at, int64(-used)))
	}
	return b, nil
}

// seekIn goes to a record of a segment.
func (s *Scan) seekIn(g *segment, isBefore func(Record) (before, known bool)) (err error) {
	if g.rewritten {
		if s.order, err = s.log.orderOf(g); err != nil {
			return err
		}
		place, err := s.order.search(g, isBefore)
		s.at = int64(max(0, place-1)) // the one before may be a part of the same record
		for ; s.at > 0 && s.order.records[s.at-1].number == s.order.records[s.at].number; s.at-- {
		}
		return err
	}
	stops, err := s.stops(g)
	if err != nil {
		return err
	}
	behind := sort.Search(len(stops), func(i int) bool {
		if err != nil {
			return true
		}
		var before, known bool
		before, known, err = s.sampleAt(g, stops[i], isBefore)
		return !known || !before // too early a start costs some reading, too late a one would lose entries
	})
	s.at = segmentHeaderSize
	if behind > 0 {
		s.at = stops[behind-1]
	}
	return err
}

// sampleAt looks at the first records at an offset.
func (s *Scan) sampleAt(g *segment, at int64, isBefore func(Record) (before, known bool)) (before, known bool, err error) {
	one := Scan{log: s.log, segments: s.segments, end: s.end, i: s.i, at: at}
	defer one.drop()
	b, err := one.head(g, s.endOf(s.i))
	if err != nil {
		return false, false, err
	}
	n := 0
	walk(b, g.salt, func(_ int64, r Record) bool {
		if !own(r.Kind) {
			before, known = isBefore(r)
			n++
		}
		return !known && n < maxSampled
	}, nil)
	return before, known, nil
}

// Back goes to about so many bytes before the end, and returns false if that is the beginning.
func (s *Scan) Back(bytes int64) (more bool, err error) {
	for i := len(s.segments) - 1; i >= 0; i-- {
		g, end := s.segments[i], s.endOf(i)
		if size := end - segmentHeaderSize; g.rewritten || bytes > size {
			bytes -= size
			if bytes <= 0 {
				s.enter(i)
				return i > 0, nil
			}
			continue
		}
		stops, err := s.stops(g)
		if err != nil {
			return false, err
		}
		s.enter(i)
		if at, _ := slices.BinarySearch(stops, end-bytes+1); at > 0 {
			s.at = stops[at-1]
		}
		return i > 0 || s.at > segmentHeaderSize, nil
	}
	s.enter(0)
	return false, nil
}

// stops returns offsets of records in a segment in the order of the log, about stopDistance from each other. They are found once, and kept:
// 8 bytes each.
func (s *Scan) stops(g *segment) ([]int64, error) {
	l := s.log
	l.mu.Lock()
	stops := g.stops
	l.mu.Unlock()
	last := int64(segmentHeaderSize)
	if n := len(stops); n > 0 {
		last = stops[n-1]
	}
	end := s.endOf(s.indexOf(g))
	if end-last < 2*stopDistance {
		return stops, nil
	}
	one := Scan{log: l, segments: s.segments, end: s.end, i: s.indexOf(g), at: last}
	defer one.drop()
	stops = slices.Clone(stops)
	for one.at < end {
		one.drop()
		b, err := one.bytes(g, end)
		if err != nil {
			return nil, err
		}
		used := pieceOf(b, g.salt)
		if used < 0 {
			used = min(-used, int(end-one.at))
		}
		if one.at-last >= stopDistance {
			last = one.at
			stops = append(stops, last)
		}
		one.at += int64(used)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(stops) > len(g.stops) {
		g.stops = stops
	}
	return stops, nil
}

// indexOf returns the place of a segment.
func (s *Scan) indexOf(g *segment) int { return slices.Index(s.segments, g) }

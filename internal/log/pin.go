package log

import (
	"errors"
	"math"
)

// Pin holds entries of one stream as they are at one instant: what is removed or written again later does not change what it
// reads. It belongs to one goroutine.
type Pin struct {
	log         *Log
	view        *view
	key         uint64
	first, last uint64
}

// Pin holds the entries of key with ordinals from first to last. The caller releases it. The core calls it.
func (l *Log) Pin(key, first, last uint64) *Pin {
	return &Pin{l, l.retainView(), key, first, last}
}

// Release gives the entries up.
func (p *Pin) Release() { p.view.release() }

// Read calls f for the payload of each record that has such entries, in order, until f returns false. A record may have others too.
// The payload is valid until f returns.
//
// A record that is not whole is left out; the error is a *Damage for each, and all others were passed to f. It waits for the disk,
// and does not run on the core.
func (p *Pin) Read(f func(payload []byte) bool) error {
	r := newReading(p, f)
	defer r.free()
	segments := p.view.segments
	start, err := p.start(segments)
	for i := start; i < len(segments) && err == nil && !r.done; i++ {
		err = r.forward(segments[i])
	}
	return errors.Join(append(r.damages, err)...)
}

// ReadFrom is Read from a later ordinal on.
func (p *Pin) ReadFrom(first uint64, f func(payload []byte) bool) error {
	rest := *p
	rest.first = max(first, p.first)
	return rest.Read(f)
}

// ReadBack is Read from the last record to the first.
func (p *Pin) ReadBack(f func(payload []byte) bool) error {
	r := newReading(p, f)
	defer r.free()
	segments := p.view.segments
	var err error
	for i := len(segments) - 1; i >= 0 && err == nil && !r.done; i-- {
		err = r.backward(segments[i])
	}
	return errors.Join(append(r.damages, err)...)
}

// Recent reports whether all of it is in memory, so that reading it waits for no file. It may report false when it is.
// The core may call it.
func (p *Pin) Recent() bool {
	segments := p.view.segments
	if len(segments) == 0 {
		return false
	}
	s := segments[len(segments)-1]
	x := p.log.growing(s)
	if x == nil {
		return false
	}
	found, end, err := x.find(nil, p.key, p.first, p.first, 1)
	if err != nil {
		return false
	}
	if len(found) == 0 {
		return p.isBehind(s, end)
	}
	c, _ := p.log.chunkAt(s, found[0].offset)
	if c == nil {
		return false
	}
	c.release()
	return true
}

// maxUnindexed bounds the bytes in which Recent searches for records that the index does not have yet.
const maxUnindexed = 64 << 10

// isBehind reports whether the first entry is close behind the end of the index.
func (p *Pin) isBehind(s *segment, end int64) (found bool) {
	c, b := p.log.chunkAt(s, max(end, segmentHeaderSize))
	if c == nil {
		return false
	}
	defer c.release()
	walk(b[:min(len(b), maxUnindexed)], s.salt, func(_ int64, r Record) bool { // the last record may be cut off
		p.log.spansOf(r, func(span Span) {
			found = found || span.Key == p.key && span.First <= p.first && p.first-span.First < uint64(span.Count) //nolint:gosec // positive
		})
		return !found
	}, nil)
	return found
}

// start returns the segment to begin with: the last one that has an entry of key at first or before it, or an earlier one.
//
// It looks at the newest segments first, in growing steps, and then goes by halves. A segment without the key is passed over.
func (p *Pin) start(segments []*segment) (int, error) {
	low, high := 0, len(segments) // all segments from high on begin behind first
	for step := 1; high > 0; step *= 2 {
		from := max(0, high-step)
		i, isBefore, err := p.nearest(segments, from, high)
		if err != nil {
			return 0, err
		}
		if isBefore {
			low = i
			break
		}
		high = from
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		i, isBefore, err := p.nearest(segments, middle, high)
		if err != nil {
			return 0, err
		}
		if isBefore {
			low = i
		} else {
			high = middle
		}
	}
	return low, nil
}

// nearest returns the first segment with the key among those from the one number to the other, and whether its first entry of it
// is at p.first or before.
func (p *Pin) nearest(segments []*segment, from, to int) (i int, isBefore bool, err error) {
	var buf [1]extent
	for i = from; i < to; i++ {
		found, _, err := p.log.find(segments[i], buf[:0], p.key, 0, math.MaxUint64, 1, false)
		if err != nil {
			return 0, false, err
		}
		if len(found) > 0 {
			return i, found[0].first <= p.first, nil
		}
	}
	return to, false, nil
}

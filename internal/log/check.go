package log

import (
	"errors"
	"fmt"
)

// Fault is what Check found wrong at a place of a file.
type Fault struct {
	File   string
	Offset int64
	What   string
}

// Checking is what Check calls.
type Checking struct {
	Fault    func(Fault)
	Record   func(file string, offset int64, rewritten bool, r Record) // each that is whole, in the order of the files
	Progress func(done, total int64) error                             // bytes; an error ends it
}

// Check reads all segments: the sums of all records, their numbers, and whether indexes lead to what is there. It returns how many bytes of
// segments there are. The error is that of a file that cannot be read.
func (l *Log) Check(to Checking) (bytes int64, err error) {
	v := l.retainView()
	defer v.release()
	for _, s := range v.segments {
		bytes += l.endOf(s)
	}
	done := int64(0)
	for _, s := range v.segments {
		if s.file() == nil {
			continue // nothing of it is written
		}
		c := checkedSegment{segment: s, log: l, to: to, end: l.endOf(s), done: done, total: bytes}
		if err := c.run(); err != nil {
			return bytes, fmt.Errorf("read %s: %w", s.name(), err)
		}
		done += c.end
	}
	return bytes, nil
}

// checkedSegment is one segment that is checked.
type checkedSegment struct {
	*segment
	log         *Log
	to          Checking
	end         int64
	done, total int64
	next        uint64 // the number of the record that is expected
	lost        bool   // what stands before is not whole, so a later number may come
	damaged     bool   // something is not whole
}

func (c *checkedSegment) fault(at int64, format string, args ...any) {
	c.to.Fault(Fault{c.name(), at, fmt.Sprintf(format, args...)})
}

func (c *checkedSegment) run() error {
	c.log.mu.Lock()
	last := c.last
	c.log.mu.Unlock()
	c.next = c.first
	rebuilt := newIndex(c.log.o.Spans)
	for rd := newReader(c.file(), c.salt, segmentHeaderSize, c.end); rd.at < rd.size; {
		at := rd.at
		r, err := rd.next()
		if errors.Is(err, errBroken) {
			c.fault(at, "what should be record %d is not whole", c.next)
			c.lost, c.damaged = true, true
			err = rd.skipBroken()
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		r.Kind &^= behindSync
		rebuilt.add(at, r)
		c.record(at, r)
		if err := c.to.Progress(c.done+rd.at, c.total); err != nil {
			return err
		}
	}
	if !c.rewritten && !c.damaged && c.next != last+1 {
		c.fault(c.end, "records %d to %d are missing", c.next, last)
	}
	return c.checkIndex(rebuilt.seal())
}

// record checks the number of a record.
func (c *checkedSegment) record(at int64, r Record) {
	if own(r.Kind) {
		return
	}
	switch {
	case c.rewritten && (r.Number < c.first || r.Number > c.last):
		c.fault(at, "record %d stands among those from %d to %d", r.Number, c.first, c.last)
	case !c.rewritten && r.Number != c.next && (r.Number < c.next || !c.lost):
		c.fault(at, "record %d stands where %d should be", r.Number, c.next)
	}
	c.next, c.lost = r.Number+1, false
	c.to.Record(c.name(), at, c.rewritten, r)
}

// checkIndex compares the index behind the records with one that was made from them.
func (c *checkedSegment) checkIndex(rebuilt *part) error {
	if c.log.growing(c.segment) != nil {
		return nil // it is in memory
	}
	stored, err := c.log.openIndex(c.segment)
	if err == nil {
		err = stored.load()
	}
	if errors.Is(err, errIndex) {
		c.fault(c.end, "the index is not whole: it is made again from the records when it is read")
		return nil
	}
	if err != nil {
		return err
	}
	if c.damaged {
		return nil // it leads to records that are lost
	}
	a, b := runs{cursor: cursor{part: stored}}, runs{cursor: cursor{part: rebuilt}}
	for {
		x, more := a.take()
		y, moreToo := b.take()
		switch {
		case a.err != nil || more != moreToo || x != y:
			c.fault(c.end, "the index leads to other records than there are, at entry %d of stream %d", max(x.first, y.first), max(x.key, y.key))
			return nil
		case !more:
			return nil
		}
	}
}

// runs goes over the extents of a part, with those joined that follow each other, whatever their length is.
type runs struct {
	cursor
	next extent
	has  bool // next is valid
}

func (r *runs) take() (run extent, ok bool) {
	if !r.has && !r.advance() {
		return run, false
	}
	if run = r.next; !r.has {
		run = r.d.extent
	}
	r.has = false
	for r.advance() {
		e := r.d.extent
		follows := e.offset < run.offset+run.length || e.offset == run.offset+run.length && e.first == run.last+1
		if e.key != run.key || !follows {
			r.next, r.has = e, true
			break
		}
		run.join(e)
	}
	return run, true
}

// Visible returns about how many bytes of segments belong to entries that Options.Live returns.
func (l *Log) Visible() (bytes int64, err error) {
	v := l.retainView()
	defer v.release()
	for _, s := range v.segments {
		if l.growing(s) != nil {
			bytes += l.endOf(s)
			continue
		}
		live, _, err := l.visible(candidate{segment: s, size: l.endOf(s)})
		if err != nil {
			return bytes, fmt.Errorf("read the index of %s: %w", s.name(), err)
		}
		bytes += live
	}
	return bytes, nil
}

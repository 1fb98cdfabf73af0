package log

import "errors"

// place is an offset in a segment.
type place struct {
	segment int // its index
	at      int64
	number  uint64 // the number of the record that is there
}

// scanAll goes through the segments, and applies what the checkpoint does not have.
func (r *recoverer) scanAll() error {
	r.next = 1
	for i, from := 0, int64(0); i < len(r.segments); {
		s := r.segments[i]
		if from == 0 && r.isSuperseded(i) {
			if err := r.remove(i); err != nil {
				return err
			}
			continue
		}
		whole, err := r.scan(s, from)
		if err != nil {
			return err
		}
		if whole || r.continues(i) {
			i, from = i+1, 0
			continue
		}
		resume, found, err := r.search(i, s.end)
		if err != nil {
			return err
		}
		if !found {
			return r.cut(i)
		}
		r.addDamage(s, resume.number)
		for _, lost := range r.segments[i+1 : max(i, resume.segment)+1] {
			if !lost.header {
				lost.first, lost.last = r.next, r.next-1
			}
		}
		i, from = resume.segment, resume.at
	}
	return nil
}

// isSuperseded reports whether the segment before has all that this one has: a crash came between joining and removing it.
func (r *recoverer) isSuperseded(i int) bool {
	s := r.segments[i]
	return i > 0 && r.segments[i-1].rewritten && (s.header && s.first < r.next || s.trailer && s.last < r.next)
}

// scan reads a segment from an offset on; 0 is its beginning. It returns false at the first record that is not whole, with the place in
// s.end.
func (r *recoverer) scan(s *foundSegment, from int64) (whole bool, err error) {
	size := s.size
	if s.trailer {
		size = s.sealedEnd
	}
	if from == 0 {
		if !s.header && !s.trailer {
			s.first, s.last, s.end = r.next, r.next-1, 0
			return false, nil
		}
		r.begin(s)
		// The last segment has the record of a clean stop, or its trailer says so. What was written again lies before the head.
		if last := s == r.segments[len(r.segments)-1]; s.trailer && s.last <= r.after && (!last || s.stop) || s.rewritten {
			s.end, r.next, r.clean = s.sealedEnd, s.last+1, s.stop
			return true, nil
		}
		from = segmentHeaderSize
	}
	r.prepare(s)
	for rd := newReader(s.file(), s.salt, from, size); ; {
		s.end = rd.at
		if s.trailer && s.end == s.sealedEnd {
			r.next = max(r.next, s.last+1)
			return true, nil
		}
		record, err := rd.next()
		if errors.Is(err, errBroken) || err == nil && !r.expects(s, record) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if record.Kind&^behindSync == kindIndex {
			s.indexed = true
			return true, nil
		}
		if err := r.take(s, s.end, record); err != nil {
			return false, err
		}
	}
}

// prepare begins the first scan of a segment.
func (r *recoverer) prepare(s *foundSegment) {
	if s.scanned {
		return
	}
	s.scanned = true
	if !s.trailer { // else the file has its index
		s.index = r.l.newIndex()
		s.last = r.next - 1
	}
}

// begin compares the first number of a segment with the one that is expected.
func (r *recoverer) begin(s *foundSegment) {
	r.clean = false
	if !s.header {
		s.first = r.next
		r.l.recovered.Damages = append(r.l.recovered.Damages, Damage{File: s.name(), First: r.next, Last: r.next - 1})
	}
	if s.first > r.next {
		r.gaps = append(r.gaps, Damage{File: s.name(), First: r.next, Last: s.first - 1})
		r.next = s.first
	}
}

// expects reports whether a record is the one that comes next.
func (r *recoverer) expects(s *foundSegment, record Record) bool {
	return record.Number == r.next || s.rewritten && record.Number > r.next
}

// take uses one record.
func (r *recoverer) take(s *foundSegment, at int64, record Record) error {
	record.Kind &^= behindSync
	r.clean = record.Kind == kindStop
	if s.index != nil {
		s.index.add(at, record)
	}
	if own(record.Kind) {
		return nil
	}
	r.next = record.Number + 1
	if !s.trailer {
		s.last = record.Number
	}
	if record.Number <= r.after {
		return nil
	}
	return r.apply(record)
}

// continues reports whether the segment behind the i-th begins where that ended, or whether nothing at all follows.
func (r *recoverer) continues(i int) bool {
	s := r.segments[i]
	if s.trailer || s.end == 0 {
		return false
	}
	if i+1 < len(r.segments) {
		next := r.segments[i+1]
		if !next.header || next.first < r.next {
			return false
		}
		// What is before the head need not be there.
		return next.first == r.next || next.first <= r.l.meta.head && !r.goesOn(i)
	}
	end, err := usedEnd(s.file(), s.end, s.size)
	return err == nil && end == 0
}

// goesOn reports whether a whole record follows the end of the i-th segment.
func (r *recoverer) goesOn(i int) bool {
	s, resume, proven := r.segments[i], place{segment: -1}, false
	err := r.searchSegment(i, newReader(s.file(), s.salt, s.end+1, s.size), &resume, &proven)
	return err != nil || resume.segment >= 0
}

// search looks behind a place that is not whole for a proof that it was synced. With one, it returns where reading goes on.
func (r *recoverer) search(i int, broken int64) (resume place, found bool, err error) {
	resume.segment, found = -1, false
	for j := i; j < len(r.segments); j++ {
		s, from := r.segments[j], int64(segmentHeaderSize)
		if j == i && broken > 0 {
			from = broken + 1
		}
		size := s.size
		if s.trailer {
			found = true // it was sealed once all before was synced
			size = s.sealedEnd
		}
		if err := r.searchSegment(j, newReader(s.file(), s.salt, from, size), &resume, &found); err != nil {
			return resume, false, err
		}
		if found && resume.segment < 0 {
			resume = place{j, size, s.last + 1} // the last records of a sealed segment
		}
		if found {
			return resume, true, nil
		}
	}
	return resume, false, nil
}

// searchSegment looks for whole records, until one is a proof and reading has a place to go on.
func (r *recoverer) searchSegment(j int, rd *reader, resume *place, found *bool) error {
	for {
		if err := rd.skip(); err != nil {
			return err
		}
		if rd.size-rd.at < headerSize {
			return nil
		}
		at := rd.at
		record, err := rd.next()
		if errors.Is(err, errBroken) {
			rd.at = at + 1
			continue
		}
		if err != nil {
			return err
		}
		if record.Number < r.next {
			continue
		}
		if resume.segment < 0 {
			*resume = place{j, at, record.Number}
		}
		kind := record.Kind &^ behindSync
		if record.Kind&behindSync != 0 || kind == kindMark && decodeNumber(record.Payload) >= r.next {
			*found = true
		}
		if *found {
			return nil
		}
	}
}

// addDamage records that what stands between s.end and the record of that number is lost.
func (r *recoverer) addDamage(s *foundSegment, number uint64) {
	d := Damage{File: s.name(), Offset: s.end, First: r.next, Last: number - 1}
	r.l.recovered.Damages = append(r.l.recovered.Damages, d)
	r.next = number
}

// cut removes what follows the end of the i-th segment. makeDurable makes that durable before anything is written there: records of
// the old tail would follow the new ones otherwise, with the right numbers.
func (r *recoverer) cut(i int) error {
	s, recovered := r.segments[i], &r.l.recovered
	recovered.CutFile, recovered.CutAt = s.name(), s.end
	r.clean = false
	for n := len(r.segments) - 1; n >= i; n-- {
		last, from := r.segments[n], int64(0)
		if n == i {
			from = s.end
		}
		end, err := usedEnd(last.file(), from, last.size)
		if err != nil {
			return err
		}
		recovered.Cut += max(0, end-from)
		if from > 0 {
			return s.file().Truncate(s.end)
		}
		if err := r.remove(n); err != nil { // of the i-th, not even the header is whole
			return err
		}
	}
	return nil
}

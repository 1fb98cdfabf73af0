package log

import (
	"cmp"
	"slices"
	"sync"
)

const (
	// maxRaw is how many extents of an index are not yet ordered.
	maxRaw = 1024
	// partsPerLevel parts of one level become one of the next: 64 MiB of small records have some 20 parts.
	partsPerLevel = 8
	// loadedLevel is that of a part from a file. It is joined at the end alone.
	loadedLevel = 64
)

// index is that of a segment that grows. One goroutine adds records, in the order of the file; any goroutine may look
// extents up meanwhile. It takes three to six bytes an extent.
type index struct {
	spans func(kind byte, payload []byte, add func(Span))

	mu    sync.Mutex  // guards what follows; the adder, which alone changes it, reads it without
	raw   []extent    // the newest ones, as they came
	parts []levelPart // oldest first, and so is their content; the slice is replaced, not changed
	end   int64       // the offset behind the last record added

	// The adder owns what follows: the record that is being added.
	offset, length int64
	addSpan        func(Span)
}

// levelPart is a part that was made of partsPerLevel^level parts.
type levelPart struct {
	*part
	level int
}

func newIndex(spans func(kind byte, payload []byte, add func(Span))) *index {
	x := &index{spans: spans}
	x.addSpan = x.appendSpan
	return x
}

// add enters the record at offset at. The log's own records have no entries.
func (x *index) add(at int64, r Record) {
	if len(x.raw) >= maxRaw {
		x.order()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.offset, x.length = at, headerSize+int64(len(r.Payload))
	if !own(r.Kind) {
		x.spans(r.Kind&^behindSync, r.Payload, x.addSpan)
	}
	x.end = x.offset + x.length
}

func (x *index) appendSpan(s Span) {
	e := extent{s.Key, s.First, s.First + uint64(s.Count) - 1, x.offset, x.length} //nolint:gosec // a count below 1 is seen next
	if s.Count <= 0 || e.last < e.first {
		return
	}
	if last := len(x.raw) - 1; last >= 0 && x.raw[last].joins(e) {
		x.raw[last].join(e)
		return
	}
	x.raw = append(x.raw, e)
}

// order makes a part of the raw extents, and joins parts.
func (x *index) order() {
	parts := slices.Clone(x.parts)
	parts = append(parts, levelPart{part: x.orderRaw()})
	for len(parts) >= partsPerLevel && parts[len(parts)-partsPerLevel].level == parts[len(parts)-1].level {
		from := len(parts) - partsPerLevel
		joined := joinInMemory(parts[from:])
		parts = append(parts[:from], levelPart{joined, parts[from].level + 1})
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.parts, x.raw = parts, x.raw[:0]
}

// orderRaw makes a part of the raw extents.
func (x *index) orderRaw() *part {
	type rank struct {
		key uint64
		i   int
	}
	order := make([]rank, len(x.raw))
	for i, e := range x.raw {
		order[i] = rank{e.key, i}
	}
	slices.SortFunc(order, func(a, b rank) int { // those of one key stay as they came: by ordinal
		if a.key == b.key {
			return a.i - b.i
		}
		return cmp.Compare(a.key, b.key)
	})
	var w partWriter
	for _, r := range order {
		w.add(x.raw[r.i])
	}
	return w.finish()
}

func joinInMemory(parts []levelPart) *part {
	all := make([]*part, len(parts))
	for i, p := range parts {
		all[i] = p.part
	}
	joined, err := joinParts(all)
	if err != nil {
		panic("log: an index in memory is not whole: " + err.Error()) // it was encoded here
	}
	return joined
}

// seal returns all of it as one part. Nothing is added any more.
func (x *index) seal() *part {
	parts := slices.Clone(x.parts)
	return joinInMemory(append(parts, levelPart{part: x.orderRaw()}))
}

// appendTo encodes it for the end of the segment.
func (x *index) appendTo(b []byte) []byte { return x.seal().appendTo(b) }

// size is the memory that it takes.
func (x *index) size() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	size := cap(x.raw) * 40
	for _, p := range x.parts {
		size += p.bytes()
	}
	return size
}

// find appends the extents with ordinals from first to last of key, in order, until dst has most of them. Records from
// offset end on were not yet added.
func (x *index) find(dst []extent, key, first, last uint64, most int) (found []extent, end int64, err error) {
	parts, raw, end := x.snapshot(key, first, last, most)
	for _, p := range parts {
		if dst, err = p.find(dst, key, first, last, most); err != nil || len(dst) == most {
			return dst, end, err
		}
	}
	return append(dst, raw[:min(len(raw), most-len(dst))]...), end, nil
}

// findBack is find from the last extent to the first.
func (x *index) findBack(dst []extent, key, first, last uint64, most int) (found []extent, end int64, err error) {
	parts, raw, end := x.snapshotBack(key, first, last, most)
	dst = append(dst, raw[:min(len(raw), most-len(dst))]...)
	for i := len(parts) - 1; i >= 0 && len(dst) < most; i-- {
		if dst, err = parts[i].findBack(dst, key, first, last, most); err != nil {
			return dst, end, err
		}
	}
	return dst, end, nil
}

// snapshot returns the parts, and a copy of the first raw extents that match.
func (x *index) snapshot(key, first, last uint64, most int) (parts []levelPart, raw []extent, end int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.raw {
		e := &x.raw[i]
		if e.key != key || e.first > last || e.last < first {
			continue
		}
		if n := len(raw) - 1; n >= 0 && raw[n].joins(*e) {
			raw[n].join(*e) // a record with entries of several streams in turn
			continue
		}
		if len(raw) == most {
			break
		}
		raw = append(raw, *e)
	}
	return x.parts, raw, x.end
}

// snapshotBack is snapshot from the last extent to the first.
func (x *index) snapshotBack(key, first, last uint64, most int) (parts []levelPart, raw []extent, end int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := len(x.raw) - 1; i >= 0; i-- {
		e := x.raw[i]
		if e.key != key || e.first > last || e.last < first {
			continue
		}
		if n := len(raw) - 1; n >= 0 && e.joins(raw[n]) {
			e.join(raw[n])
			raw[n] = e
			continue
		}
		if len(raw) == most {
			break
		}
		raw = append(raw, e)
	}
	return x.parts, raw, x.end
}

// reach returns the offset behind the last record added.
func (x *index) reach() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.end
}

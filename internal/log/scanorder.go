package log

import (
	"cmp"
	"errors"
	"slices"
	"sort"
	"sync"
)

// recordOrder is the order of the records in a segment that was written again by stream. It does not change, but for the window.
type recordOrder struct {
	records []recordPlace

	mu     sync.Mutex // guards what follows; it is held while a window is read
	window orderWindow
}

// orderWindow is records in memory that follow each other in that order, for those that read on: each time, much of the file is read for
// them. It does not change.
type orderWindow struct {
	from  int // the place of the first
	texts [][]byte
	size  int
}

// recordPlace is where a record stands.
type recordPlace struct {
	number uint64
	offset int64
	size   int
}

const (
	// placeBytes is the memory of a recordPlace.
	placeBytes = 24
	// maxOrders bounds the memory of the orders of segments, with a window each. One of 64 MiB with records of 100 bytes takes 16 MiB.
	maxOrders = 48 << 20
	// A window begins with the size of a piece. Where it is read on, the next one is windowGrowth times as large, up to maxOrderWindow.
	maxOrderWindow, windowGrowth = 4 << 20, 4
	// maxBetween is how many bytes between two records are read rather than skipped.
	maxBetween = 4 << 10
)

// bytes is about the memory that an order takes.
func (o *recordOrder) bytes() int { return placeBytes*len(o.records) + maxOrderWindow }

// orderOf returns the order of a segment. Making it reads all of it.
func (l *Log) orderOf(g *segment) (*recordOrder, error) {
	if o := l.orders.get(g); o != nil {
		return o, nil
	}
	l.orders.making.Lock()
	defer l.orders.making.Unlock()
	if o := l.orders.get(g); o != nil {
		return o, nil
	}
	o := &recordOrder{}
	rd := newReader(g.file(), g.salt, segmentHeaderSize, l.endOf(g))
	for rd.at < rd.size {
		at := rd.at
		r, length, err := rd.header()
		switch {
		case err == nil:
			o.records = append(o.records, recordPlace{r.Number, at, headerSize + length})
			rd.at += int64(headerSize + length)
		case !errors.Is(err, errBroken):
			return nil, err
		default: // what is lost has no number: it stands where its predecessor does
			if err := rd.skipBroken(); err != nil {
				return nil, err
			}
			number := uint64(0)
			if n := len(o.records); n > 0 {
				number = o.records[n-1].number
			}
			o.records = append(o.records, recordPlace{number, at, int(rd.at - at)})
		}
	}
	slices.SortFunc(o.records, func(a, b recordPlace) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.offset, b.offset))
	})
	o.records = slices.Clip(o.records)
	l.orders.put(g, o)
	return o, nil
}

// nextInOrder passes the next records of a segment that was written again, at most about a piece, and all with the same number.
func (s *Scan) nextInOrder(g *segment, f func(Record), broken func(*Damage)) (more bool, err error) {
	if s.order == nil {
		if s.order, err = s.log.orderOf(g); err != nil {
			return false, err
		}
	}
	at := int(s.at)
	if at == len(s.order.records) {
		return false, nil
	}
	w, err := s.order.windowAt(g, at)
	if err != nil {
		return false, err
	}
	size := 0
	for end := w.from + len(w.texts); at < end; at++ {
		places := s.order.records
		if size >= pieceSize && places[at].number != places[at-1].number {
			break
		}
		text := w.texts[at-w.from]
		size += len(text)
		walk(text, g.salt, func(_ int64, r Record) bool {
			if !own(r.Kind) {
				r.Kind &^= behindSync
				f(r)
			}
			return true
		}, func(i int64, r Record) {
			broken(&Damage{File: g.name(), Offset: places[at].offset + i, First: r.Number, Last: r.Number})
		})
	}
	s.at = int64(at)
	return true, nil
}

// windowAt returns a window that has the record at a place, and all others of its number that are behind it.
func (o *recordOrder) windowAt(g *segment, at int) (orderWindow, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.window
	if at >= w.from && at < w.from+len(w.texts) {
		return w, nil
	}
	size := pieceSize
	if at == w.from+len(w.texts) && at > 0 {
		size = min(windowGrowth*w.size, maxOrderWindow)
	}
	n, bytes := 0, 0
	for all := o.records[at:]; n < len(all) && (n == 0 || bytes < size || all[n].number == all[n-1].number); n++ {
		bytes += all[n].size
	}
	texts, err := readPlaces(g, o.records[at:at+n], bytes)
	if err != nil {
		return orderWindow{}, err
	}
	o.window = orderWindow{at, texts, size}
	return o.window, nil
}

// readPlaces reads records in the order of the file, those that lie close together at once, and returns their bytes in the given order.
func readPlaces(g *segment, places []recordPlace, bytes int) ([][]byte, error) {
	byOffset := make([]int, len(places))
	for i := range byOffset {
		byOffset[i] = i
	}
	slices.SortFunc(byOffset, func(a, b int) int { return cmp.Compare(places[a].offset, places[b].offset) })
	texts, kept := make([][]byte, len(places)), make([]byte, 0, bytes)
	var b []byte
	for i := 0; i < len(byOffset); {
		start := places[byOffset[i]].offset
		end, n := start, 0
		for _, at := range byOffset[i:] {
			if p := places[at]; n == 0 || p.offset-end <= maxBetween && p.offset+int64(p.size)-start <= maxWindow {
				end = p.offset + int64(p.size)
				n++
				continue
			}
			break
		}
		b = slices.Grow(b[:0], int(end-start))[:end-start]
		if _, err := g.file().ReadAt(b, start); err != nil {
			return nil, err
		}
		for _, at := range byOffset[i : i+n] {
			p, from := places[at], len(kept)
			kept = append(kept, b[p.offset-start:][:p.size]...)
			texts[at] = kept[from:len(kept):len(kept)]
		}
		i += n
	}
	return texts, nil
}

// read reads the record at a place, and reports whether it is whole and none of the log's own.
func (o *recordOrder) read(g *segment, i int) (Record, bool, error) {
	p := o.records[i]
	b := make([]byte, p.size)
	if _, err := g.file().ReadAt(b, p.offset); err != nil {
		return Record{}, false, err
	}
	r, _, err := parseRecord(b, g.salt)
	return r, err == nil && !own(r.Kind), nil
}

// search returns the first place from which on isBefore is false, as far as records can tell.
func (o *recordOrder) search(g *segment, isBefore func(Record) (before, known bool)) (place int, err error) {
	place = sort.Search(len(o.records), func(i int) bool {
		for ; i < len(o.records) && err == nil; i++ { // the next one that tells
			var r Record
			var ok bool
			if r, ok, err = o.read(g, i); !ok {
				continue
			}
			if before, known := isBefore(r); known {
				return !before
			}
		}
		return true
	})
	return place, err
}

package log

import (
	"cmp"
	"container/list"
	"errors"
	"slices"
	"sort"
	"sync"
)

// recordOrder is the order of the records in a segment that was written again by stream. It does not change.
type recordOrder struct{ records []recordPlace }

// recordPlace is where a record stands.
type recordPlace struct {
	number uint64
	offset int64
	size   int
}

const (
	// placeBytes is the memory of a recordPlace.
	placeBytes = 24
	// maxOrders bounds the memory of the orders of segments. One of 64 MiB with records of 100 bytes takes 12 MiB.
	maxOrders = 32 << 20
	// maxTogether bounds the records of a piece that are put in order.
	maxTogether = 4096
)

// orderCache keeps the orders that were used last.
type orderCache struct {
	making sync.Mutex // held while one is made, so that readers do not do it side by side

	mu     sync.Mutex // guards what follows
	orders map[*segment]*list.Element
	used   list.List // of cachedOrder; the one used last is at the front
	size   int
}

type cachedOrder struct {
	segment *segment
	order   *recordOrder
}

func (c *orderCache) get(g *segment) *recordOrder {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.orders[g]
	if e == nil {
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(cachedOrder).order
}

func (c *orderCache) put(g *segment, o *recordOrder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(g)
	if c.orders == nil {
		c.orders = make(map[*segment]*list.Element)
	}
	c.orders[g] = c.used.PushFront(cachedOrder{g, o})
	c.size += placeBytes * len(o.records)
	for c.size > maxOrders && c.used.Len() > 1 {
		c.remove(c.used.Back().Value.(cachedOrder).segment)
	}
}

func (c *orderCache) drop(g *segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(g)
}

// remove is drop with the lock held.
func (c *orderCache) remove(g *segment) {
	if e := c.orders[g]; e != nil {
		c.size -= placeBytes * len(e.Value.(cachedOrder).order.records)
		c.used.Remove(e)
		delete(c.orders, g)
	}
}

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
	all := s.order.records[s.at:]
	if len(all) == 0 {
		return false, nil
	}
	n, size := 0, 0
	for n < len(all) && (n == 0 || size < pieceSize && n < maxTogether || all[n].number == all[n-1].number) {
		size += all[n].size
		n++
	}
	texts, err := s.readPlaces(g, all[:n])
	if err != nil {
		return false, err
	}
	for i, p := range all[:n] {
		walk(texts[i], g.salt, func(_ int64, r Record) bool {
			if !own(r.Kind) {
				r.Kind &^= behindSync
				f(r)
			}
			return true
		}, func(at int64, r Record) {
			broken(&Damage{File: g.name(), Offset: p.offset + at, First: r.Number, Last: r.Number})
		})
	}
	s.at += int64(n)
	return true, nil
}

// readPlaces reads records in the order of the file, those that lie close together at once, and returns their bytes in the given order.
func (s *Scan) readPlaces(g *segment, places []recordPlace) ([][]byte, error) {
	byOffset := make([]int, len(places))
	for i := range byOffset {
		byOffset[i] = i
	}
	slices.SortFunc(byOffset, func(a, b int) int { return cmp.Compare(places[a].offset, places[b].offset) })
	texts := make([][]byte, len(places))
	for i := 0; i < len(byOffset); {
		start := places[byOffset[i]].offset
		end, n := start, 0
		for _, at := range byOffset[i:] {
			if p := places[at]; n == 0 || p.offset-end <= maxSkipped && p.offset+int64(p.size)-start <= maxWindow {
				end = p.offset + int64(p.size)
				n++
				continue
			}
			break
		}
		b := make([]byte, end-start)
		if _, err := g.file().ReadAt(b, start); err != nil {
			return nil, err
		}
		for _, at := range byOffset[i : i+n] {
			p := places[at]
			texts[at] = b[p.offset-start:][:p.size]
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

package command

import (
	"bytes"
	"errors"

	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// fill is a reply with entries: texts and ranges of entries in turn. A place in the outbox of its connection stands for it. The core makes it and pins the records; from then on the filler owns it.
type fill struct {
	conn  *Conn
	place outbox.Place
	parts []fillPart
	// rest is the text behind the last entry.
	rest []byte
	// reading is a READ, which is nothing but that; nil if it is none.
	reading *readRequest
	// limit bounds the entries of all parts, for XREAD with MAXSIZE; nil if there is no such bound.
	limit   *sizeLimit
	version protocol.Version
	// charged is the memory that it counts for.
	charged int64
	// presented: the connection shows replies as text, so the reply goes out as a whole.
	presented bool
	// pinned and flushed are the core's: with both, the filler gets the reply.
	pinned, flushed bool
}

// fillPart is the entries of one stream, and the text in front of them.
type fillPart struct {
	text  []byte
	name  []byte // of the stream, where the filler writes the headers
	key   uint64
	rng   stream.Range
	pin   Pin
	count int // of the entries to show: all of the range, unless a limit ends earlier
	// only are the ordinals of those to show, if these are not all of the range.
	only  []uint64
	tails tails
	// isDirect: the entries go to the owner of the connection.
	isDirect bool
	// ahead, if it is not nil, gets the entries up to the ordinal until, too.
	ahead *upcomingSlot
	until uint64
}

// entries appends the entries of a range: an array of them.
func (w *response) entries(st *stream.Stream, r stream.Range) {
	w.array(r.Len())
	w.eachEntry(st, r)
}

// entry appends the one entry of a range, or null.
func (w *response) entry(st *stream.Stream, r stream.Range) {
	if r.Len() == 0 {
		w.null()
		return
	}
	w.eachEntry(st, r)
}

// eachEntry appends the entries of a range, without a header. They may be far too many for the core, and lie in files.
func (w *response) eachEntry(st *stream.Stream, r stream.Range) {
	if r.Len() == 0 {
		return
	}
	if w.entriesNow(st, &r) {
		return
	}
	w.addPart(st, r)
}

// addPart has the filler read a range. The caller may change what is returned before it adds anything else.
func (w *response) addPart(st *stream.Stream, r stream.Range) *fillPart {
	if w.fill == nil {
		w.fill = &fill{conn: w.executor.Conn}
	}
	f := w.fill
	f.parts = append(f.parts, fillPart{text: bytes.Clone(w.buf), key: st.Number(), rng: r, count: r.Len()})
	w.buf = w.buf[:0]
	return &f.parts[len(f.parts)-1]
}

const (
	// maxEntriesNow and maxBytesNow bound what the core itself adds to a reply.
	maxEntriesNow = 16
	maxBytesNow   = 4 << 10
	// maxTextNow bounds the reply that it adds them to.
	maxTextNow = 64 << 10
	// maxScannedNow bounds the records that the core searches for a reply: a transaction makes a large one.
	maxScannedNow = 256 << 10
)

// errTooLarge ends a read of entries for which a reply has no room.
var errTooLarge = errors.New("too large")

// entriesNow appends entries at once, if they are few and in memory.
func (w *response) entriesNow(st *stream.Stream, r *stream.Range) bool {
	return r.Len() <= maxEntriesNow && w.readNow(st, r, nil, &tails{})
}

// readNow appends the entries of a range, or those with the ordinals in only, at once if they are in memory. In a transaction they are
// not: its record is open.
func (w *response) readNow(st *stream.Stream, r *stream.Range, only []uint64, t *tails) bool {
	s := &w.executor.service.streams
	if w.fill != nil || s.inExec || len(w.buf) > maxTextNow {
		return false
	}
	s.makeReadable()
	pin := s.store.Pin(st.Number(), r.First(), r.Last())
	defer pin.Release()
	if !pin.Recent() {
		return false
	}
	x, start := newEntryReader(st.Number(), r, only), len(w.buf)
	x.scanned = &w.scanned
	err := x.read(pin, func(i int, e *stream.Entry) error {
		if w.buf = s.text.append(w.buf, e.ID, e.Fields, t.of(i)); len(w.buf)-start > maxBytesNow {
			return errTooLarge
		}
		return nil
	})
	if err != nil {
		w.buf = w.buf[:start]
	}
	return err == nil
}

// finishFill queues a place for a reply with entries.
func (w *response) finishFill() {
	f, e := w.fill, w.executor
	if e.replyMode.off || e.replyMode.skip {
		return
	}
	f.rest, f.presented = bytes.Clone(w.buf), e.isPresented()
	e.queued().AddPlace(&f.place)
	f.charge()
	x := e.usesStreams()
	x.fills = append(x.fills, f)
	s := &e.service.streams
	s.unpinned = append(s.unpinned, f)
	s.makeReadable()
}

// pin keeps the records readable.
func (f *fill) pin(store Store) {
	for i := range f.parts {
		p := &f.parts[i]
		p.pin = store.Pin(p.key, p.rng.First(), max(p.rng.Last(), p.until))
	}
	f.pinned = true
	f.start()
}

// start hands the reply to the filler of its connection, once its place is in the outbox and its records are pinned.
func (f *fill) start() {
	if f.pinned && f.flushed {
		f.conn.startFill(f)
	}
}

// startFills comes behind a flush.
func (x *streamClient) startFills() {
	for _, f := range x.fills {
		f.flushed = true
		f.start()
	}
	x.fills = nil
}

// setReadHeaders writes the headers of a reply to XREAD, now that it is known how many entries it has.
func (f *fill) setReadHeaders(streams int) {
	head := appendReadHead(nil, f.version, streams)
	for i := range f.parts {
		p := &f.parts[i]
		p.text = head
		if p.count > 0 {
			p.text = appendReadStream(p.text, f.version, p.name, p.count)
		}
		head = nil
	}
}

// fillCost and partCost are about what a reply with entries, and each of its ranges, take in memory besides the texts.
// pickCost is that of an entry which is picked out of a range: its ordinal, and its tail.
const fillCost, partCost, pickCost = 300, 500, 40

// charge counts the reply as memory of its connection.
func (f *fill) charge() {
	f.charged = int64(fillCost + len(f.parts)*partCost + len(f.rest))
	for i := range f.parts {
		p := &f.parts[i]
		f.charged += int64(len(p.text) + len(p.name) + pickCost*len(p.only))
	}
	f.conn.usesStreams().usage.fills.Add(f.charged)
	f.conn.service.memory.Charge(f.charged)
}

// release ends the pins, and the charge.
func (f *fill) release() {
	f.conn.streamClient.Load().usage.fills.Add(-f.charged)
	f.conn.service.memory.Charge(-f.charged)
	for i := range f.parts {
		f.parts[i].pin.Release()
	}
}

// entryReader reads the entries of a range, in its direction.
type entryReader struct {
	key  uint64
	rng  *stream.Range
	only []uint64 // the ordinals of the entries that are left, if these are not all of the range
	left int
	next int // the number of the next entry
	// back and entries are of one record, in a read in reverse.
	back []stream.Entry
	// record is the length of the record that is being read.
	record int
	// scanned counts the bytes of the records, up to maxScannedNow; nil off the core, where they are not bounded.
	scanned *int
}

// newEntryReader reads all of a range, or the entries with the ordinals in only, which ascend.
func newEntryReader(key uint64, r *stream.Range, only []uint64) entryReader {
	x := entryReader{key: key, rng: r, only: only, left: r.Len()}
	if only != nil {
		x.left = len(only)
	}
	return x
}

// wants reports whether an entry is one to be read.
func (x *entryReader) wants(ordinal uint64) bool {
	if x.only == nil {
		return x.rng.Live(ordinal)
	}
	for len(x.only) > 0 && x.only[0] < ordinal {
		x.only = x.only[1:] // it is not there: some are left in the end
	}
	return len(x.only) > 0 && x.only[0] == ordinal
}

// read calls f for each entry, with its number from 0 on, until that fails. Entries that are not there are an error: their record is
// damaged.
func (x *entryReader) read(pin Pin, f func(i int, e *stream.Entry) error) error {
	var failed error
	each := func(e *stream.Entry) bool {
		if x.left == 0 || !x.wants(e.Ordinal) {
			return x.left > 0
		}
		x.left--
		x.next++
		failed = f(x.next-1, e)
		return failed == nil && x.left > 0
	}
	record := func(changes []byte) bool {
		if failed = x.scan(changes); failed != nil {
			return false
		}
		if err := stream.EachEntry(changes, x.key, each); failed == nil {
			failed = err
		}
		return failed == nil && x.left > 0
	}
	read := pin.Read
	if x.rng.Reverse() {
		read, record = pin.ReadBack, func(changes []byte) bool {
			if failed = x.scan(changes); failed != nil {
				return false
			}
			x.back = x.back[:0]
			err := stream.EachEntry(changes, x.key, func(e *stream.Entry) bool {
				x.back = append(x.back, *e)
				return true
			})
			for i := len(x.back) - 1; i >= 0 && each(&x.back[i]); i-- {
			}
			if failed == nil {
				failed = err
			}
			return failed == nil && x.left > 0
		}
	}
	if err := read(record); failed == nil {
		failed = err
	}
	if failed == nil && x.left > 0 {
		failed = errEntriesMissing
	}
	return failed
}

// scan counts a record, and returns an error if that is too much.
func (x *entryReader) scan(changes []byte) error {
	x.record = len(changes)
	if x.scanned == nil {
		return nil
	}
	if *x.scanned += len(changes); *x.scanned > maxScannedNow {
		return errTooLarge
	}
	return nil
}

var errEntriesMissing = errors.New("the log lacks entries of the stream")

// entrySize is at least what appendEntry appends.
func entrySize(fields stream.Fields) int {
	const head, each = 96, len("$\r\n\r\n") + 10
	return head + fields.Size() + each*fields.Len()
}

// sizeLimit is MAXSIZE of XREAD: the entries of all streams together have at most so many bytes, but for the first one, which
// always comes.
type sizeLimit struct {
	max, size int64
	any       bool
}

// takes reports whether one more entry fits, and counts it.
func (l *sizeLimit) takes(fields stream.Fields) bool {
	for text, ok := fields.Next(); ok; text, ok = fields.Next() {
		l.size += int64(len(text))
	}
	if l.any && l.size > l.max {
		return false
	}
	l.any = true
	return true
}

// appendReadHead appends the header of the reply to XREAD: so many streams with their entries.
func appendReadHead(b []byte, v protocol.Version, streams int) []byte {
	if v == protocol.RESP3 {
		return v.AppendHeader(b, protocol.Map, streams)
	}
	return protocol.AppendArray(b, streams)
}

// appendReadStream appends the name of a stream in the reply to XREAD, and the header of its entries.
func appendReadStream(b []byte, v protocol.Version, name []byte, entries int) []byte {
	return protocol.AppendArray(appendReadName(b, v, name), entries)
}

func appendReadName(b []byte, v protocol.Version, name []byte) []byte {
	if v == protocol.RESP2 {
		b = append(b, "*2\r\n"...)
	}
	return protocol.AppendBulk(b, name)
}

package stream

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// Load reads a base and its deltas, in their order, and returns their state.
func Load(checkpoints ...io.Reader) (*Streams, error) {
	s := New()
	for i, r := range checkpoints {
		l := &loader{streams: s, r: bufio.NewReaderSize(r, 16<<10), delta: i > 0}
		if err := l.load(); err != nil {
			return nil, fmt.Errorf("checkpoint %d of %d: %w", i+1, len(checkpoints), err)
		}
	}
	s.resumeRetention()
	s.bytes, s.entries = 0, 0
	for st := range s.All() {
		s.bytes += st.bytes() + int64(len(st.name))
		s.entries += st.Len()
	}
	return s, nil
}

// loader reads one checkpoint into the state.
type loader struct {
	streams *Streams
	r       *bufio.Reader
	delta   bool

	b            []byte    // of the last section of items
	offset       int64     // of the next section
	begun, ended bool      // the first and the last item were read
	current      *Stream   // of the last stream item
	group        *Group    // of the last group item of that stream
	all, made    []*Stream // those that it has; of them those that are not in the state yet
}

func (l *loader) load() error {
	for !l.ended {
		if err := l.section(); err != nil {
			return err
		}
	}
	for _, st := range l.all {
		if !st.ids.settle() {
			return l.corrupt("blocks of ids that do not fit")
		}
	}
	return l.putMade()
}

// putMade adds the new streams to the state, in the order of their numbers.
func (l *loader) putMade() error {
	s, next := l.streams, l.streams.next
	slices.SortFunc(l.made, func(a, b *Stream) int { return cmp.Compare(a.number, b.number) })
	for _, st := range l.made {
		if group, _ := s.order.place(st.number); group < len(s.order.groups) || st.number >= next || s.names[st.name] != nil {
			return l.corrupt("a number or a name that is there twice")
		}
		s.put(st)
	}
	s.next = next
	return nil
}

func (l *loader) corrupt(why string) error {
	return fmt.Errorf("%w: before byte %d: %s", ErrCorrupt, l.offset, why)
}

// section reads one section of items.
func (l *loader) section() error {
	kind, b, err := l.read(l.b)
	if err != nil {
		return err
	}
	if kind != sectionItems {
		return l.corrupt("codes without a page")
	}
	l.b = b
	for in := (&input{b: b}); len(in.b) > 0; {
		if l.ended {
			return l.corrupt("items behind the end")
		}
		if err := l.item(in); err != nil {
			return err
		}
		if in.bad {
			return l.corrupt("an item that ends too early")
		}
	}
	return nil
}

// read reads a section, into b if that is large enough. A length that lies costs no more memory than there are bytes, and a megabyte.
func (l *loader) read(b []byte) (kind byte, content []byte, err error) {
	var head [sectionHead]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return 0, nil, l.cut(err)
	}
	length := int(binary.LittleEndian.Uint32(head[:]))
	b = b[:0]
	for len(b) < length {
		n := min(length-len(b), 1<<20)
		b = slices.Grow(b, n)[:len(b)+n]
		if _, err := io.ReadFull(l.r, b[len(b)-n:]); err != nil {
			return 0, nil, l.cut(err)
		}
	}
	l.offset += int64(sectionHead + length)
	sum := crc32.Update(crc32.Checksum(head[8:9], castagnoli), castagnoli, b)
	if sum != binary.LittleEndian.Uint32(head[4:]) {
		return 0, nil, l.corrupt("the CRC is another one")
	}
	return head[8], b, nil
}

// cut makes the end of the file an error of its content; other errors stay.
func (l *loader) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early, behind byte %d", ErrCorrupt, l.offset)
	}
	return err
}

func (l *loader) item(in *input) error {
	kind := in.bytes(1)[0]
	if l.begun == (kind == itemHead) {
		return l.corrupt("the head is not the first item alone")
	}
	switch kind {
	case itemPage, itemDead, itemProducer, itemGroup:
		if l.current == nil {
			return l.corrupt("a part without its stream")
		}
	case itemConsumer, itemPending:
		if l.group == nil {
			return l.corrupt("a part without its group")
		}
	}
	switch kind {
	case itemHead:
		l.begun = true
		return l.readHead(in)
	case itemRemoved:
		for range in.count(1) {
			if st := l.streams.ByNumber(in.uvarint()); st != nil {
				l.streams.remove(st)
			}
		}
	case itemStream:
		return l.readStream(in)
	case itemPage:
		return l.readPage(in)
	case itemDead:
		return l.readDead(in)
	case itemProducer:
		return l.readProducer(in)
	case itemGroup:
		return l.readGroup(in)
	case itemConsumer:
		return l.readConsumer(in)
	case itemPending:
		return l.readPending(in)
	case itemRules:
		s := l.streams
		s.rules, s.sweep = in.rules(), sweep{in.uvarint(), in.uvarint()}
	case itemCursor:
		return l.readCursor(in, SetCursor)
	case itemHeldCursor:
		return l.readCursor(in, HoldCursor)
	case itemSource:
		return l.readSourcePosition(in)
	case itemDurable:
		text := string(in.text())
		if !isGlobs(text) {
			return l.corrupt("globs that are none")
		}
		l.streams.durable, _ = ParseGlobs(text)
	case itemEnd:
		if l.ended = true; in.uvarint() != uint64(len(l.all)) {
			return l.corrupt("streams are missing")
		}
	default:
		return l.corrupt("an item of an unknown kind")
	}
	return nil
}

func (l *loader) readHead(in *input) error {
	s := l.streams
	version, base := in.bytes(1), in.bytes(1)
	if in.bad || version[0] != checkpointVersion {
		return l.corrupt("another version")
	}
	if base[0] == boolByte(l.delta) {
		return l.corrupt("a base is first, and deltas follow")
	}
	sequence, time, next := in.uvarint(), int64(in.uvarint()), in.uvarint()
	s.duration, s.maxSize = in.settings()
	flushed := in.uvarint()
	s.given = settingSet(in.uvarint())
	if sequence < s.sequence || time < s.time || next < s.next {
		return l.corrupt("it is older than the one before")
	}
	s.sequence, s.time, s.next = sequence, time, next
	s.cursors, s.sources, s.cursorBytes = newCursors(), newSourcePositions(), 0
	if flushed > 0 {
		for _, st := range slices.Collect(s.All()) {
			if st.number < flushed {
				s.remove(st)
			}
		}
	}
	return nil
}

func (l *loader) readStream(in *input) error {
	s := l.streams
	number, name := in.uvarint(), in.text()
	st := s.ByNumber(number)
	switch {
	case st == nil:
		st = newStream(string(name), number)
		l.made = append(l.made, st)
	case st.name != string(name):
		return l.corrupt("a stream with another name")
	}
	l.current, l.group, l.all = st, nil, append(l.all, st)
	last, maxDeleted, added := in.id(), in.id(), in.uvarint()
	st.duration, st.maxSize = in.settings()
	s.setExpiry(st, 0)
	if at := int64(in.uvarint()); at > 0 {
		s.setExpiry(st, at-1)
	}
	if fence := in.uvarint(); fence != st.fence {
		st.own()
		st.fence = fence
	}
	if trimmed := in.uvarint(); trimmed != st.trimmed {
		st.own()
		st.trimmed = trimmed
	}
	x := &st.ids
	x.first, x.next = in.uvarint(), in.uvarint()
	st.last = last
	st.setCounters(added, maxDeleted)
	x.dropFrom(in.uvarint())
	x.kept = in.uvarint()
	count, first, run, codes := in.uvarint(), in.id(), in.uvarint(), slices.Clone(in.text())
	if x.first < 1 || x.next < x.first || count > min(blockSize, x.next-1) || run > count {
		in.fail()
		return nil
	}
	x.open, x.count, x.run, x.codes, x.dead, x.captured = first, uint16(count), uint16(run), codes, nil, false
	if in.flag() {
		m := in.bitmap()
		x.dead = &m
	}
	in.readGroups(st)
	l.readWindow(in, st)
	return nil
}

func (l *loader) readWindow(in *input, st *Stream) {
	if st.window != nil {
		l.streams.due.remove(&st.window.due)
		st.window = nil
	}
	if !in.flag() {
		return
	}
	w := &window{added: in.uvarint(), duplicates: in.uvarint(), producers: make(map[Digest]*producer)}
	w.due = deadline{at: int64(in.uvarint()), index: -1, stream: st, ends: windowEnds}
	st.own()
	if st.window = w; w.due.at > 0 {
		l.streams.due.set(&w.due)
	}
}

func (l *loader) readProducer(in *input) error {
	id, p := in.digest(), &producer{ids: make(map[Digest]uint64)}
	w := l.current.window
	if w == nil || w.producers[id] != nil {
		return l.corrupt("a producer without its window")
	}
	for range in.count(len(Digest{}) + 3) {
		p.push(tracked{in.digest(), in.id(), int64(in.uvarint())})
	}
	if len(p.ids) != len(p.queue) {
		return l.corrupt("an idempotent id that is there twice")
	}
	w.producers[id] = p
	w.tracked += len(p.queue)
	return nil
}

func (in *input) flag() bool {
	b := in.bytes(1)
	return len(b) > 0 && b[0] != 0
}

func (in *input) fixed64() uint64 {
	b := in.bytes(8)
	if len(b) < 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (in *input) fixed32() uint32 {
	b := in.bytes(4)
	if len(b) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

func (in *input) bitmap() (m bitmap) {
	for w := range m {
		m[w] = in.fixed64()
	}
	return m
}

package command

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

const (
	// maxFilled is how many filled bytes may wait in an outbox: above it, the filler waits for the writer.
	maxFilled = 256 << 10
	// maxPlaces is how many replies of a connection may wait to be filled: above it, the reader stops reading.
	maxPlaces = 64
	// maxPresented bounds a reply with entries that goes out as one text.
	maxPresented = 1 << 20
)

// filler fills the places in a connection's outbox with entries, which may lie in files. It has a goroutine while there are any.
// The core makes it; the reader stops it and waits for that goroutine, in Leave.
type filler struct {
	conn    *Conn
	running sync.WaitGroup // the goroutine's work for this connection
	// stopping is raised when the connection has left the core.
	stopping abortSignal
	// wake makes the filler look again whether there is room.
	wake chan struct{}
	// isCut: a reply was cut off. The goroutine sets it, the reader reads it once that has ended.
	isCut bool

	mu     sync.Mutex // guards what follows
	queue  []*fill
	active bool
}

// startFill has a reply filled. The core calls it, in the order of the places.
func (c *Conn) startFill(r *fill) {
	x := c.usesStreams()
	f := x.filler.Load()
	if f == nil {
		f = &filler{conn: c, wake: make(chan struct{}, 1)}
		x.filler.Store(f)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, r)
	if !f.active {
		f.active = true
		f.running.Add(1)
		c.service.fillWorkers.start(f)
	}
}

// maxIdleFillers is how many goroutines wait for the next filler. A new one would grow its stack for each reply, which took 5 % of
// the time for 1,000 entries.
const maxIdleFillers = 4

// fillWorkers are the goroutines of fillers. The service waits for them.
type fillWorkers struct {
	service *Service
	next    chan *filler
	idle    atomic.Int32
}

func (w *fillWorkers) init(s *Service) { w.service, w.next = s, make(chan *filler) }

// start has a goroutine run a filler: one that waits, or a new one.
func (w *fillWorkers) start(f *filler) {
	select {
	case w.next <- f:
	default:
		w.service.tasks.Go(func() { w.run(f) })
	}
}

// run runs fillers until enough other goroutines wait, or the service stops.
func (w *fillWorkers) run(f *filler) {
	for f != nil {
		f.run()
		f.running.Done()
		f = nil
		if w.idle.Add(1) <= maxIdleFillers {
			select {
			case f = <-w.next:
			case <-w.service.stopping:
			}
		}
		w.idle.Add(-1)
	}
}

// writerProgressed makes the filler look for room. The writer calls it.
func (f *filler) writerProgressed() {
	select {
	case f.wake <- struct{}{}:
	default: // it will look
	}
}

// next takes the next reply. Without any the goroutine ends.
func (f *filler) next() *fill {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 {
		f.active, f.queue = false, nil
		return nil
	}
	r := f.queue[0]
	f.queue[0] = nil
	f.queue = f.queue[1:]
	return r
}

// run is the goroutine: reply after reply. A defect in it ends this connection alone.
func (f *filler) run() {
	var x filling
	defer func() {
		if p := recover(); p != nil {
			f.conn.LogPanic(p)
			f.conn.End(CloseReasonPanic)
		}
		x.close()
	}()
	x.filler = f
	for r := f.next(); r != nil; r = f.next() {
		x.fill(r)
		r.release()
		f.conn.window.wake() // it may wait for a place
	}
}

// filling is one reply that is being filled. It belongs to the filler's goroutine.
type filling struct {
	*filler
	reply *fill
	// buf is where frames are encoded, b what is encoded and not yet added.
	buf  *outbox.Buffer
	b    []byte
	text entryText
	// reader reads the range that is being filled in. charged is the memory of its record that counts now.
	reader  entryReader
	charged int64
	// begun: some of the reply is in the outbox.
	begun bool
	// slot is held while entries are read and encoded.
	slot bool
}

var errConnectionEnds = errors.New("the connection ends")

// fill fills one reply. Where entries cannot be read, the reply is an error; if a part of it has left, the connection ends.
func (x *filling) fill(r *fill) {
	x.reply, x.begun = r, false
	if r.reading != nil {
		x.fillPage(r.reading)
		return
	}
	err := x.applyLimit()
	for i := 0; i < len(r.parts) && err == nil; i++ {
		err = x.part(&r.parts[i])
	}
	if err == nil {
		err = x.write(r.rest)
	}
	switch {
	case err == nil:
	case errors.Is(err, errConnectionEnds):
		x.cut()
	case errors.Is(err, errTooLarge):
		x.b = protocol.AppendError(x.b[:0], protocol.Errorf("reply of more than %d bytes in one text; use COUNT", maxPresented))
	case x.begun:
		x.conn.Log(zerolog.ErrorLevel).Err(err).Msg("entries cannot be read; the connection is closed, since its reply has begun")
		x.conn.End(CloseReasonLog)
		x.b = x.b[:0]
	default:
		x.conn.Log(zerolog.ErrorLevel).Err(err).Msg("entries cannot be read")
		x.b = protocol.AppendError(x.b[:0], protocol.Errorf("entries cannot be read: %v", err))
	}
	x.add(true)
	x.endSlot()
}

// cut gives up a reply of a connection that has left the core: its client has not taken all of it in time. Nothing may follow what has left
// of the reply: that would be read as a part of it.
func (x *filling) cut() {
	x.b = x.b[:0]
	o := &x.conn.outbox
	if !x.stopping.raised.Load() || x.isCut || o.IsEvicted() {
		return
	}
	x.isCut = true
	if o.Evict(x.conn.transport, nil) {
		x.conn.transport.StartWriter()
	}
}

// part adds the text in front of a range, and its entries.
func (x *filling) part(p *fillPart) error {
	if err := x.write(p.text); err != nil {
		return err
	}
	switch {
	case p.isDirect:
		return x.passDirectly(p)
	case p.count == 0 || p.ahead != nil && x.readAhead(p):
		return nil
	}
	x.reader = newEntryReader(p.key, &p.rng, p.only)
	x.reader.left = p.count
	defer func() { x.reader = entryReader{} }()
	return x.reader.read(p.pin, func(i int, e *stream.Entry) error {
		tail := p.tails.of(i)
		if err := x.room(entrySize(e.Fields) + len(tail)); err != nil {
			return err
		}
		x.b = x.text.append(x.b, e.ID, e.Fields, tail)
		return nil
	})
}

// write adds text.
func (x *filling) write(text []byte) error {
	err := x.room(len(text))
	x.b = append(x.b, text...)
	return err
}

// room makes sure that there is room for size bytes: it adds what is encoded, and waits for the writer.
func (x *filling) room(size int) error {
	switch {
	case size == 0:
		return nil
	case x.reply.presented:
		if len(x.b)+size > maxPresented {
			return errTooLarge
		}
		x.b = slices.Grow(x.b, size)
		return x.acquireSlot()
	case cap(x.b)-len(x.b) >= size:
		return x.acquireSlot()
	}
	if len(x.b) > 0 && !x.add(false) {
		return errConnectionEnds
	}
	if err := x.awaitRoom(); err != nil {
		return err
	}
	if err := x.acquireSlot(); err != nil {
		return err
	}
	if cap(x.b) < size || x.buf == nil {
		x.buf.Release()
		x.buf = outbox.NewBuffer(&x.conn.service.memory, max(size, outbox.LargeBuffers.BufferSize))
		x.b = x.buf.Bytes[:0]
		return x.awaitMemory()
	}
	return nil
}

// awaitMemory waits, with a large buffer and the slot for it, while clients exceed max-memory: the fillers that need such a buffer come
// one after the other, and an eviction between them.
func (x *filling) awaitMemory() error {
	m := &x.conn.service.memory
	for len(x.buf.Bytes) > outbox.LargeBuffers.BufferSize && m.IsOver() {
		if x.conn.outbox.IsEvicted() {
			return errConnectionEnds
		}
		passed := m.NextPass()
		m.Notify()
		select {
		case <-passed:
		case <-x.stopping.done():
			return errConnectionEnds
		case <-x.conn.service.stopping:
			return nil // there are no more evictions
		}
	}
	return nil
}

// add moves what is encoded to the outbox. False means that it takes nothing more.
func (x *filling) add(done bool) bool {
	if x.reply.presented {
		x.b = x.conn.presentFilled(x.b)
	}
	p := outbox.NewUnflushed()
	if len(x.b) > 0 {
		buf := x.buf
		if x.reply.presented {
			buf = nil
		}
		p.Add(outbox.Fragment{Bytes: x.b, Buf: buf}, outbox.FrameInfo{Kind: outbox.KindFilled})
		x.begun = true
	}
	ok, start := x.conn.outbox.Fill(p, &x.reply.place, done)
	p.Recycle()
	if start {
		x.conn.transport.StartWriter()
	}
	x.buf.Release()
	x.buf, x.b = nil, nil
	return ok
}

// awaitRoom waits until the writer has written enough.
func (x *filling) awaitRoom() error {
	for x.conn.outbox.FilledBytes() > maxFilled {
		x.endSlot()
		x.chargeRecord(int64(x.reader.record))
		select {
		case <-x.wake:
		case <-x.stopping.done():
			x.chargeRecord(0)
			return errConnectionEnds
		}
	}
	x.chargeRecord(0)
	if x.stopping.raised.Load() {
		return errConnectionEnds
	}
	return nil
}

// chargeRecord counts the record that is kept while the client reads nothing, and the memory of a page that is being made. Many clients would
// keep a large one each.
func (x *filling) chargeRecord(n int64) {
	more := n - x.charged
	x.charged = n
	x.conn.usesStreams().usage.fills.Add(more)
	x.conn.service.memory.Charge(more)
}

// acquireSlot gets one of the slots: with very many fillers at work, other goroutines would wait for a processor.
func (x *filling) acquireSlot() error {
	if x.slot {
		return nil
	}
	if x.slot = x.conn.service.fillers.acquire(&x.stopping); !x.slot {
		return errConnectionEnds
	}
	return nil
}

func (x *filling) endSlot() {
	if x.slot {
		x.slot = false
		x.conn.service.fillers.release()
	}
}

func (x *filling) close() {
	x.endSlot()
	x.chargeRecord(0)
	x.buf.Release()
}

// applyLimit finds out how many entries MAXSIZE leaves, and with it the headers of the reply. The first entry always comes.
func (x *filling) applyLimit() error {
	l := x.reply.limit
	if l == nil {
		return nil
	}
	if err := x.acquireSlot(); err != nil {
		return err
	}
	streams := 0
	for i := range x.reply.parts {
		p, full := &x.reply.parts[i], false
		r, most := entryReader{key: p.key, rng: &p.rng, left: p.count}, p.count
		p.count = 0
		err := r.read(p.pin, func(_ int, e *stream.Entry) error {
			if full = !l.takes(e.Fields); full {
				return errTooLarge
			}
			p.count++
			return nil
		})
		if err != nil && !errors.Is(err, errTooLarge) {
			return err
		}
		if p.count > 0 {
			streams++
		}
		if full || p.count < most {
			for j := i + 1; j < len(x.reply.parts); j++ {
				x.reply.parts[j].count = 0
			}
			break
		}
	}
	x.reply.setReadHeaders(streams)
	return nil
}

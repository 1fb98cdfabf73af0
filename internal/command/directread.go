package command

import (
	"github.com/conchmq/conch/internal/stream"
)

const (
	// maxDirectEntries and maxDirectBytes bound the entries that go to the owner of a connection together. One always does.
	maxDirectEntries = 1000
	maxDirectBytes   = 1 << 20
)

// DirectEntry is an entry of a stream. Its fields share memory with those next to it.
type DirectEntry struct {
	ID     stream.ID
	Fields stream.Fields
}

// ReadDirectly has a connection within the process get new entries of XREADGROUP not in the reply, but from a channel. In the reply of each
// stream their number, an integer, stands in the place of the array; they come behind it. What is in the reply as text is an array, as ever.
// It comes before [Service.Add].
func (c *Conn) ReadDirectly() <-chan []DirectEntry {
	x := c.usesStreams()
	x.direct = make(chan []DirectEntry)
	return x.direct
}

// readsDirectly reports whether ReadDirectly was called.
func (c *Conn) readsDirectly() bool {
	x := c.streamClient.Load()
	return x != nil && x.direct != nil
}

// directPart adds a range that goes to the owner of the connection.
func (w *response) directPart(p *groupPart) {
	w.buf = appendReadName(w.buf, w.executor.version, p.name)
	w.integer(int64(p.fresh.Len()))
	w.addPart(p.stream, p.fresh).isDirect = true
}

// passDirectly passes the entries of a part on. Their number is in the outbox before the first ones are passed, so that until then an error can be the reply.
func (x *filling) passDirectly(p *fillPart) error {
	var d directPiece
	x.reader = newEntryReader(p.key, &p.rng, nil)
	defer func() { x.reader = entryReader{} }()
	err := x.reader.read(p.pin, func(_ int, e *stream.Entry) error {
		if len(d.entries) == maxDirectEntries || len(d.entries) > 0 && len(d.text)+e.Fields.Size() > maxDirectBytes {
			if err := x.passPiece(&d); err != nil {
				return err
			}
		}
		d.add(e, x.reader.left+1)
		return nil
	})
	if err != nil {
		return err
	}
	return x.passPiece(&d)
}

// directPiece is some entries with their fields.
type directPiece struct {
	entries []DirectEntry
	text    []byte
}

// add adds an entry, behind which left-1 more may follow.
func (d *directPiece) add(e *stream.Entry, left int) {
	if d.entries == nil {
		left = min(left, maxDirectEntries)
		d.entries = make([]DirectEntry, 0, left)
		d.text = make([]byte, 0, min(left*e.Fields.Size(), maxDirectBytes))
	}
	var fields stream.Fields
	fields, d.text = e.Fields.CopyTo(d.text)
	d.entries = append(d.entries, DirectEntry{e.ID, fields})
}

// passPiece waits until the owner takes a piece.
func (x *filling) passPiece(d *directPiece) error {
	if len(x.b) > 0 && !x.add(false) {
		return errConnectionEnds
	}
	x.endSlot()
	x.chargeRecord(int64(x.reader.record + cap(d.text)))
	defer x.chargeRecord(0)
	select {
	case x.conn.usesStreams().direct <- d.entries:
		*d = directPiece{}
		return x.acquireSlot()
	case <-x.stopping.done():
		return errConnectionEnds
	}
}

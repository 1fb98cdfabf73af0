package stream

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Digest returns a digest of the whole state. Two states with the same one give the same answers, and do the same with all changes
// to come. How they were reached, by which checkpoints or in which blocks ids lie, does not show.
func (s *Streams) Digest() (sum [sha256.Size]byte) {
	d := digester{hash: sha256.New()}
	d.numbers(s.sequence, uint64(s.time), s.next, uint64(s.duration), uint64(s.maxSize), uint64(s.given), uint64(s.order.count))
	d.bytes(appendRules(nil, s.rules))
	d.numbers(s.sweep.from, s.sweep.end)
	d.cursors(s)
	d.sourcePositions(s)
	d.text(s.durable.String())
	s.order.from(0, func(st *Stream) bool {
		d.stream(st)
		return true
	})
	d.flush()
	d.hash.Sum(sum[:0])
	return sum
}

type digester struct {
	hash hash.Hash
	b    []byte
}

func (d *digester) numbers(list ...uint64) {
	for _, n := range list {
		d.b = binary.LittleEndian.AppendUint64(d.b, n)
	}
	if len(d.b) > 4<<10 {
		d.flush()
	}
}

func (d *digester) bytes(b []byte) {
	d.b = append(d.b, b...)
}

func (d *digester) flush() {
	d.hash.Write(d.b)
	d.b = d.b[:0]
}

func (d *digester) stream(st *Stream) {
	d.numbers(st.number, uint64(len(st.name)))
	d.bytes([]byte(st.name))
	d.numbers(st.last.Ms, st.last.Seq, st.maxDeleted.Ms, st.maxDeleted.Seq, st.EntriesAdded(), uint64(st.Expiry()), uint64(st.duration), uint64(st.maxSize), st.fence, st.trimmed)
	d.numbers(st.ids.first, st.ids.next, st.ids.live)
	v := st.ids.view()
	v.each(v.first, v.next, func(ordinal uint64, id ID) bool {
		d.numbers(ordinal, id.Ms, id.Seq)
		return true
	})
	d.numbers(st.ids.kept)
	st.ids.eachKept(func(h *head) { d.numbers(h.ordinal, h.bytes) })
	if st.window != nil {
		d.window(st.window)
	}
	if st.groups != nil {
		d.groups(st.groups)
	}
}

func (d *digester) groups(gs *groups) {
	d.numbers(gs.next, uint64(gs.byName.count))
	gs.byName.each(func(g *Group) bool {
		d.text(g.name)
		d.numbers(g.number, g.last.Ms, g.last.Seq, g.ordinal, g.read, g.released, g.missed, g.next, uint64(g.consumers.count), uint64(g.pending.count))
		g.consumers.each(func(c *Consumer) bool {
			d.text(c.name)
			d.numbers(c.number, uint64(c.active))
			return true
		})
		g.pending.each(func(p *Pending) bool {
			d.numbers(p.id.Ms, p.id.Seq, uint64(p.at), p.count, p.owner())
			return true
		})
		return true
	})
}

func (d *digester) text(text string) {
	d.numbers(uint64(len(text)))
	d.bytes([]byte(text))
}

// window adds the digests of the producers, so that their order does not show.
func (d *digester) window(w *window) {
	due := int64(0)
	if w.due.index >= 0 {
		due = w.due.at
	}
	d.numbers(w.added, w.duplicates, uint64(w.tracked), uint64(due))
	var sum [sha256.Size]byte
	for id, p := range w.producers { // a sum: the order does not show
		of := digester{hash: sha256.New()}
		of.bytes(id[:])
		for i := range p.queue {
			t := &p.queue[i]
			of.bytes(t.message[:])
			of.numbers(t.id.Ms, t.id.Seq, uint64(t.at))
		}
		of.flush()
		for i, b := range of.hash.Sum(nil) {
			sum[i] ^= b
		}
	}
	d.bytes(sum[:])
}

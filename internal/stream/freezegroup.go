package stream

import "encoding/binary"

// frozenGroup is a group at the instant of a checkpoint.
type frozenGroup struct {
	group     Group // a copy, for its numbers
	consumers []Consumer
	pending   []itemBlock[*Pending]
}

// freeze returns the present state. The consumers are copied: they are few beside what is pending.
func (g *Group) freeze() frozenGroup {
	f := frozenGroup{group: *g, consumers: make([]Consumer, 0, g.consumers.count), pending: g.pending.capture()}
	g.consumers.each(func(c *Consumer) bool {
		f.consumers = append(f.consumers, Consumer{name: c.name, number: c.number, seen: c.seen, active: c.active})
		return true
	})
	return f
}

func (f *frozenGroup) write(out *sections) {
	g := &f.group
	out.item(itemGroup, sectionSize)
	out.b = appendID(binary.AppendUvarint(appendText(out.b, g.name), g.number), g.last)
	for _, n := range [...]uint64{g.ordinal, g.read, g.released, g.missed, g.next} {
		out.b = binary.AppendUvarint(out.b, n)
	}
	for i := range f.consumers {
		c := &f.consumers[i]
		out.item(itemConsumer, sectionSize)
		out.b = binary.AppendUvarint(appendText(out.b, c.name), c.number)
		out.b = binary.AppendVarint(binary.AppendVarint(out.b, c.seen), c.active)
	}
	for _, block := range f.pending {
		out.item(itemPending, sectionSize)
		out.b = appendPending(out.b, block.items)
	}
}

// appendPending appends entries that are pending. An id and a time follow the ones before.
func appendPending(b []byte, items []*Pending) []byte {
	b = binary.AppendUvarint(b, uint64(len(items)))
	ms, at := uint64(0), int64(0)
	for _, p := range items {
		b = binary.AppendUvarint(binary.AppendUvarint(b, p.id.Ms-ms), p.id.Seq)
		b = binary.AppendUvarint(binary.AppendVarint(b, p.at-at), p.count)
		b = binary.AppendUvarint(b, p.owner())
		ms, at = p.id.Ms, p.at
	}
	return b
}

// readGroups begins with the groups of a stream, whose items follow.
func (in *input) readGroups(st *Stream) {
	next := in.uvarint()
	if next == 0 && st.groups == nil {
		return
	}
	st.own()
	if st.groups = nil; next > 0 {
		st.groups = newGroups()
		st.groups.next = next
	}
}

func (l *loader) readGroup(in *input) error {
	gs := l.current.groups
	if gs == nil {
		return l.corrupt("a group of a stream without groups")
	}
	g := newGroup(string(in.text()), in.uvarint())
	g.last = in.id()
	g.ordinal, g.read, g.released, g.missed, g.next = in.uvarint(), in.uvarint(), in.uvarint(), in.uvarint(), in.uvarint()
	if _, found := gs.byName.find(g); found || gs.byNumber[g.number] != nil || g.number >= gs.next {
		return l.corrupt("a group that is there twice")
	}
	gs.add(g)
	l.group = g
	return nil
}

func (l *loader) readConsumer(in *input) error {
	g := l.group
	c := &Consumer{name: string(in.text()), number: in.uvarint(), seen: in.varint(), active: in.varint()}
	if _, found := g.consumers.find(c); found || g.numbered[c.number] != nil || c.number >= g.next || c.number == 0 {
		return l.corrupt("a consumer that is there twice")
	}
	l.current.groups.addConsumer(g, c)
	return nil
}

func (l *loader) readPending(in *input) error {
	g := l.group
	ms, at := uint64(0), int64(0)
	for range in.count(5) {
		ms += in.uvarint()
		id := ID{ms, in.uvarint()}
		at += in.varint()
		p := &Pending{id: id, at: at, count: in.uvarint()}
		if number := in.uvarint(); number > 0 {
			if p.consumer = g.numbered[number]; p.consumer == nil {
				return l.corrupt("a pending entry without its consumer")
			}
		}
		l.current.groups.put(g, p)
	}
	return nil
}

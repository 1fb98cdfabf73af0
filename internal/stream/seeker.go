package stream

// seeker looks up ids in a view. To go on in the block of the id before takes less than to find a block and decode it from its beginning:
// ids that ascend are found faster.
type seeker struct {
	*view
	at position
	decoder
	// ordinal is that of the decoder's id, end the one behind the block.
	ordinal, end uint64
}

// seek returns the ordinal of the first id, alive or not, that is not below id, and that id; or next.
func (x *seeker) seek(id ID) (uint64, ID) {
	if x.ordinal < x.end && !id.Less(x.id) && x.reach(id) {
		return x.ordinal, x.id
	}
	v := x.view
	x.at = position{len(v.pages), len(v.last.heads)}
	if v.tail.count == 0 || id.Less(v.tail.first) {
		// The block before the first one that begins behind id, or else the very first.
		x.at = v.search(func(h *head) bool { return !id.Less(h.first) })
		v.back(&x.at)
	}
	for x.enter(); !x.reach(id); x.enter() {
		if !v.forward(&x.at) {
			return v.next, ID{}
		}
	}
	return x.ordinal, x.id
}

// enter goes to the first id of the block.
func (x *seeker) enter() {
	b := x.block(x.at)
	x.decoder, x.ordinal, x.end = b.decoder(), b.ordinal, b.end()
}

// reach goes from the present id to the first one in the block that is not below id. It is false if there is none.
func (x *seeker) reach(id ID) bool {
	for x.ordinal < x.end {
		if x.ordinal >= x.first && !x.id.Less(id) {
			return true
		}
		if x.ordinal++; x.ordinal < x.end {
			x.decoder.next()
		}
	}
	return false
}

// find returns the ordinal of an id that is alive.
func (x *seeker) find(id ID) (ordinal uint64, ok bool) {
	ordinal, found := x.seek(id)
	return ordinal, ordinal < x.view.next && found == id && x.alive(ordinal)
}

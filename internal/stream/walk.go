package stream

import "slices"

// each calls f for the live ids from..to, forward.
func (v *view) each(from, to uint64, f func(ordinal uint64, id ID) bool) {
	for at := v.locate(from); ; {
		b := v.block(at)
		d, start := b.decoder(), b.place(from)
		for i := range int(b.count) {
			if i > 0 {
				d.next()
			}
			if i < start {
				continue
			}
			ordinal := b.ordinal + uint64(i)
			if ordinal > to {
				return
			}
			if !b.dead.has(i) && !f(ordinal, d.id) {
				return
			}
		}
		if !v.forward(&at) {
			return
		}
	}
}

// eachBack calls f for the live ids to..from, backward.
func (v *view) eachBack(from, to uint64, f func(ordinal uint64, id ID) bool) {
	ids := make([]ID, 0, blockSize)
	for at := v.locate(to); ; {
		b := v.block(at)
		ids = ids[:0]
		d := b.decoder()
		for i := range int(b.count) {
			if i > 0 {
				d.next()
			}
			ids = append(ids, d.id)
		}
		for i, id := range slices.Backward(ids) {
			ordinal := b.ordinal + uint64(i)
			if ordinal < from {
				return
			}
			if ordinal <= to && !b.dead.has(i) && !f(ordinal, id) {
				return
			}
		}
		if !v.back(&at) {
			return
		}
	}
}

// live calls add for the runs of live ordinals from..to-1.
func (v *view) live(from, to uint64, add func(first uint64, count int)) {
	if from, to = max(from, v.first), min(to, v.next); from >= to {
		return
	}
	if v.dense {
		add(from, int(to-from))
		return
	}
	start, n := uint64(0), 0
	for at := v.locate(from); ; {
		h, dead := v.head(at), v.dead(at)
		for i := range int(h.count) {
			ordinal := h.ordinal + uint64(i)
			if ordinal < from || ordinal >= to || dead.has(i) {
				continue
			}
			if n > 0 && ordinal != start+uint64(n) {
				add(start, n)
				n = 0
			}
			if n == 0 {
				start = ordinal
			}
			n++
		}
		if h.end() >= to || !v.forward(&at) {
			break
		}
	}
	if n > 0 {
		add(start, n)
	}
}

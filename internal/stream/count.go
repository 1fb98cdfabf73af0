package stream

// rank returns how many live entries stand before an ordinal.
func (v *view) rank(ordinal uint64) uint64 {
	if v.dense {
		return min(max(ordinal, v.first), v.next) - v.first
	}
	n := 0
	at, found := v.skip(func(end uint64, alive int) bool {
		if end <= ordinal {
			n += alive
		}
		return end <= ordinal
	})
	if h := v.head(at); found && ordinal > h.ordinal {
		m, from, to := v.dead(at), v.start(h), h.place(ordinal)
		n += max(to-from-m.count(from, to), 0)
	}
	return uint64(n)
}

// at returns the ordinal of the live entry before which rank others stand; next if there are not so many.
func (v *view) at(rank uint64) uint64 {
	if v.dense {
		return min(v.first+min(rank, v.next-v.first), v.next)
	}
	at, found := v.skip(func(_ uint64, alive int) bool {
		pass := uint64(alive) <= rank
		if pass {
			rank -= uint64(alive)
		}
		return pass
	})
	if !found {
		return v.next
	}
	h, m := v.head(at), v.dead(at)
	return h.ordinal + uint64(m.pick(v.start(h), int(h.count), int(rank)+1, false))
}

// skip passes over what lies behind first, pages and blocks, while pass is true. It returns the block at which it stops.
func (v *view) skip(pass func(end uint64, alive int) bool) (at position, found bool) {
	for at = v.locate(v.first); ; {
		if at.block == 0 && at.page < len(v.pages) {
			if p := v.pages[at.page]; p.first() >= v.first && pass(p.end(), p.alive()) {
				at.page++
				continue
			}
		}
		if !pass(v.head(at).end(), v.aliveIn(at)) {
			return at, true
		}
		if !v.forward(&at) {
			return at, false
		}
	}
}

// start returns the place in a block from which on ids are not trimmed.
func (v *view) start(h *head) int { return h.place(v.first) }

// aliveIn counts the live ids of a block.
func (v *view) aliveIn(at position) int {
	h := v.head(at)
	from := v.start(h)
	alive := int(h.count) - from
	if v.isOpen(at) && v.tailDead == nil {
		return alive
	}
	if p := v.pageAt(at.page); !v.isOpen(at) && (p.dead == nil || p.dead.in[at.block] == 0) {
		return alive
	}
	m := v.dead(at)
	return alive - m.count(from, int(h.count))
}

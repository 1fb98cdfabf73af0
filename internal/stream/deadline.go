package stream

// deadline is an instant at which something of a stream ends.
type deadline struct {
	at     int64 // the first millisecond at which it has come
	stream *Stream
	index  int // in the heap; -1 outside of it
	ends   ending
}

// ending is what ends at a deadline.
type ending uint8

const (
	keyEnds    ending = iota
	windowEnds        // idempotent ids
	entriesEnd        // entries, by a rule of retention
)

// deadlines is a heap; the first is the next one. Equal ones come in the order of the streams.
type deadlines []*deadline

func (h deadlines) before(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].stream.number < h[j].stream.number
}

func (h deadlines) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// set adds a deadline, or moves it to its new instant.
func (h *deadlines) set(d *deadline) {
	if d.index < 0 {
		d.index = len(*h)
		*h = append(*h, d)
	}
	h.up(d.index)
	h.down(d.index)
}

func (h *deadlines) remove(d *deadline) {
	if d == nil || d.index < 0 {
		return
	}
	i, last := d.index, len(*h)-1
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	d.index = -1
	if i < last {
		h.up(i)
		h.down(i)
	}
}

func (h deadlines) up(i int) {
	for i > 0 && h.before(i, (i-1)/2) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (h deadlines) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h.before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

// each calls f for most of one ending that have come at most, the first one first. It looks at few others.
func (h deadlines) each(now int64, most int, ends ending, f func(*deadline)) {
	looks := 4 * most
	for next := []int{0}; len(next) > 0 && most > 0 && looks > 0; looks-- {
		i := next[len(next)-1]
		next = next[:len(next)-1]
		if i >= len(h) || h[i].at > now {
			continue
		}
		if h[i].ends == ends {
			f(h[i])
			most--
		}
		next = append(next, 2*i+2, 2*i+1)
	}
}

package command

import (
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/stream"
)

// xrange is XRANGE key start end [COUNT count], xrevrange the same from the end.
func xrange(w *response)    { w.rangeOf(false) }
func xrevrange(w *response) { w.rangeOf(true) }

func (w *response) rangeOf(reverse bool) {
	var x keyargs.XRange
	if err := x.Parse(w.inv.args, reverse); err != nil {
		w.fail(err)
		return
	}
	st := w.streams().Lookup(x.Key)
	switch {
	case st == nil:
		w.array(0)
	case x.Count == 0: // as Redis
		w.nullArray()
	default:
		w.entries(st, st.Range(x.From, x.To, int(max(x.Count, 0)), reverse))
	}
}

// readLimits bound the entries of an XREAD; 0 stands for no bound.
type readLimits struct {
	count    int // of each stream
	maxCount int // of all streams together
	maxSize  int64
	taken    int // of maxCount
}

// take is how many of n entries of the next stream are within the counts.
func (l *readLimits) take(n int) int {
	if l.count > 0 {
		n = min(n, l.count)
	}
	if l.maxCount > 0 {
		n = min(n, l.maxCount-l.taken)
	}
	return n
}

func (l *readLimits) took(n int) { l.taken += n }

// readPart is a stream in a reply to XREAD.
type readPart struct {
	name   []byte
	stream *stream.Stream
	rng    stream.Range
}

// xread is XREAD [COUNT count] [MAXCOUNT count] [MAXSIZE bytes] [BLOCK milliseconds] STREAMS key [key ...] id [id ...].
func xread(w *response) {
	x, err := w.inv.xread()
	if err != nil {
		w.fail(err)
		return
	}
	limits := readLimits{count: int(x.Count), maxCount: int(x.MaxCount), maxSize: x.MaxSize}
	parts := w.readParts(x, limits)
	switch {
	case len(parts) > 0 && limits.maxSize > 0:
		w.readWithin(parts, limits.maxSize)
	case len(parts) > 0:
		w.buf = appendReadHead(w.buf, w.executor.version, len(parts))
		for i := range parts {
			p := &parts[i]
			w.buf = appendReadStream(w.buf, w.executor.version, p.name, p.rng.Len())
			w.eachEntry(p.stream, p.rng)
		}
	case x.Blocks && !w.executor.inExec():
		w.blockRead(x, limits)
	default:
		w.nullArray()
	}
}

// readParts are the streams with entries to show.
func (w *response) readParts(x *keyargs.XRead, limits readLimits) (parts []readPart) {
	for i, name := range x.Keys {
		st := w.streams().Lookup(name)
		if st == nil {
			continue
		}
		most := limits.take(st.Len())
		if most == 0 {
			continue
		}
		r := rangeBehind(st, &x.After[i], most)
		if n := r.Len(); n > 0 {
			limits.took(n)
			parts = append(parts, readPart{name, st, r})
		}
	}
	return parts
}

// rangeBehind is what an XREAD gets of a stream.
func rangeBehind(st *stream.Stream, after *keyargs.After, most int) stream.Range {
	switch after.Kind {
	case keyargs.LastEntry:
		if last, ok := st.Last(); ok {
			return st.Range(last, last, 1, false)
		}
	case keyargs.AfterID:
		if from, ok := after.ID.Next(); ok && after.ID.Less(st.LastID()) {
			return st.Range(from, stream.MaxID, most, false)
		}
	}
	return stream.Range{}
}

// readWithin appends entries up to a number of bytes, which the core does not know: the filler writes the headers too.
func (w *response) readWithin(parts []readPart, maxSize int64) {
	for i := range parts {
		w.addPart(parts[i].stream, parts[i].rng)
		w.fill.parts[i].name = append([]byte(nil), parts[i].name...)
	}
	w.fill.limit, w.fill.version = &sizeLimit{max: maxSize}, w.executor.version
}

// blockRead waits for an entry of any of the streams. The command then reads behind what is there now.
func (w *response) blockRead(x *keyargs.XRead, limits readLimits) {
	after := make([]stream.ID, len(x.Keys))
	for i, name := range x.Keys {
		if x.After[i].Kind != keyargs.AfterID {
			x.After[i] = keyargs.After{Kind: keyargs.AfterID}
			if st := w.streams().Lookup(name); st != nil {
				x.After[i].ID = st.LastID()
			}
		}
		after[i] = x.After[i].ID
	}
	w.block(x.Keys, after, x.Timeout, limits, nil)
}

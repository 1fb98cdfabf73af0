package stream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Defaults and bounds of windows, as Redis has them.
const (
	DefaultDuration = 100 // seconds
	DefaultMaxSize  = 100
	MaxDuration     = 86_400
	MaxMaxSize      = 10_000
)

// Digest stands for the id of a producer or of a message. So an id of any length takes as much memory as any other, and two of
// them are never taken for one.
type Digest [16]byte

// HashID returns the digest of an id.
func HashID(id []byte) (d Digest) {
	sum := sha256.Sum256(id)
	copy(d[:], sum[:])
	return d
}

// HashFields returns a digest of names and values that does not depend on the order of the pairs. Their lengths are part of it.
func HashFields(fields [][]byte) (d Digest) {
	pairs := make([][2][]byte, 0, len(fields)/2)
	for i := 0; i+1 < len(fields); i += 2 {
		pairs = append(pairs, [2][]byte{fields[i], fields[i+1]})
	}
	slices.SortFunc(pairs, func(a, b [2][]byte) int {
		if c := bytes.Compare(a[0], b[0]); c != 0 {
			return c
		}
		return bytes.Compare(a[1], b[1])
	})
	hash := sha256.New()
	var length [8]byte
	for _, pair := range pairs {
		for _, text := range pair {
			binary.LittleEndian.PutUint64(length[:], uint64(len(text)))
			hash.Write(length[:])
			hash.Write(text)
		}
	}
	copy(d[:], hash.Sum(nil))
	return d
}

// window has the idempotent ids of a stream, by producer.
type window struct {
	producers         map[Digest]*producer
	tracked           int
	added, duplicates uint64   // of all times
	due               deadline // when ids whose time is up are removed, of producers too that add no more
}

// producer has its ids in the order in which they came, oldest first. The queue is only appended to, so that a checkpoint may hold
// its beginning.
type producer struct {
	queue []tracked
	first uint64            // number of queue[0]
	ids   map[Digest]uint64 // the number of each
}

// tracked is one idempotent id.
type tracked struct {
	message Digest
	id      ID
	at      int64
}

// find returns the id of the entry that has the idempotent id already, if that is within the window.
func (w *window) find(c *Change, duration uint32) (ID, bool) {
	if w == nil {
		return ID{}, false
	}
	p := w.producers[c.Producer]
	if p == nil {
		return ID{}, false
	}
	number, ok := p.ids[c.Message]
	if !ok {
		return ID{}, false
	}
	found := &p.queue[number-p.first]
	return found.id, c.Time < found.end(duration)
}

// end is the first millisecond at which it is no longer tracked.
func (t *tracked) end(duration uint32) int64 { return t.at + int64(duration)*1000 }

// add tracks an id. It removes those of the producer whose time is up, and the oldest ones beyond the size.
func (w *window) add(c *Change, duration uint32, maxSize uint16) {
	p := w.producers[c.Producer]
	if p == nil {
		if w.producers == nil {
			w.producers = make(map[Digest]*producer)
		}
		p = &producer{ids: make(map[Digest]uint64)}
		w.producers[c.Producer] = p
	}
	w.tracked -= p.prune(c.Time, duration)
	for len(p.queue) >= int(maxSize) {
		p.pop()
		w.tracked--
	}
	p.push(tracked{c.Message, c.ID, c.Time})
	w.tracked++
	w.added++
}

func (p *producer) push(t tracked) {
	p.ids[t.message] = p.first + uint64(len(p.queue))
	p.queue = append(p.queue, t)
}

func (p *producer) pop() {
	delete(p.ids, p.queue[0].message)
	p.queue = p.queue[1:]
	p.first++
}

// prune removes the ids whose time is up, and returns how many.
func (p *producer) prune(now int64, duration uint32) (n int) {
	for len(p.queue) > 0 && p.queue[0].end(duration) <= now {
		p.pop()
		n++
	}
	return n
}

// prune removes all ids whose time is up, and producers without one.
func (w *window) prune(now int64, duration uint32) {
	for id, p := range w.producers { // each by itself: the order does not show
		w.tracked -= p.prune(now, duration)
		if len(p.queue) == 0 {
			delete(w.producers, id)
		}
	}
}

// clear removes all ids. The counters stay.
func (w *window) clear() {
	w.producers, w.tracked = nil, 0
}

// Idempotency is what XINFO shows of the window of a stream.
type Idempotency struct {
	Duration, MaxSize  int
	Producers, Tracked int
	Added, Duplicates  uint64
}

// Idempotency returns the settings and counters of the window.
func (st *Stream) Idempotency() Idempotency {
	i := Idempotency{Duration: int(st.duration), MaxSize: int(st.maxSize)}
	if w := st.window; w != nil {
		i.Producers, i.Tracked, i.Added, i.Duplicates = len(w.producers), w.tracked, w.added, w.duplicates
	}
	return i
}

package command

import (
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// keyWait is one stream that a blocked client waits for.
type keyWait struct {
	client     *blockedClient
	key        *blockedKey
	after      stream.ID // entries behind it are waited for
	prev, next *keyWait  // of the same stream
}

// blockedKey is one stream that clients wait for, in the order in which they came.
type blockedKey struct {
	name        string
	first, last *keyWait
	// oneGroup: all that wait for it are consumers of this group, for new entries of this stream alone. If one of them finds nothing,
	// no other one does.
	oneGroup bool
	group    string
	// added are the entries of the command or transaction at hand, frames their encodings, one behind the other.
	added  []addedEntry
	frames []byte
	// woken: what its groups have to read may have changed otherwise.
	woken bool
}

// addedEntry is an entry that was just added.
type addedEntry struct {
	stream     uint64 // the number of the stream
	id         stream.ID
	start, end int // in frames
	size       int64
}

func (k *blockedKey) add(w *keyWait) {
	w.prev = k.last
	if k.last == nil {
		k.first = w
	} else {
		k.last.next = w
	}
	k.last = w
}

func (k *blockedKey) remove(w *keyWait) {
	if w.prev == nil {
		k.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		k.last = w.prev
	} else {
		w.next.prev = w.prev
	}
}

// added encodes entries for those that wait for them, once for all of them.
func (b *blockedClients) added(c *stream.Change, r *stream.Result) {
	if len(b.keys) == 0 {
		return
	}
	k := b.keys[r.Stream.Name()]
	if k == nil {
		return
	}
	b.makeReady(k)
	if k.oneGroup {
		k.woken = true // each gets entries of its own
		return
	}
	if c.Kind == stream.Add {
		b.addEntry(k, r.Number, c.ID, c.Fields)
		return
	}
	id, fields := c.ID, [2][]byte{[]byte(stream.MessageField)}
	for _, fields[1] = range c.Messages {
		b.addEntry(k, r.Number, id, fields[:])
		id.Seq++
	}
}

// addEntry encodes one entry of a stream.
func (b *blockedClients) addEntry(k *blockedKey, number uint64, id stream.ID, fields [][]byte) {
	a := addedEntry{stream: number, id: id, start: len(k.frames)}
	k.frames = b.streams.text.appendHead(k.frames, id, len(fields))
	for _, text := range fields {
		k.frames = protocol.AppendBulk(k.frames, text)
		a.size += int64(len(text))
	}
	a.end = len(k.frames)
	k.added = append(k.added, a)
}

// makeReady puts a stream among those that serve looks at.
func (b *blockedClients) makeReady(k *blockedKey) {
	if len(k.added) == 0 && !k.woken {
		b.ready = append(b.ready, k)
	}
}

// wake lets the clients that read a stream by groups look again.
func (b *blockedClients) wake(name string) {
	if k := b.keys[name]; k != nil {
		b.makeReady(k)
		k.woken = true
	}
}

// wakeRemoved does so for streams that are about to be removed: their groups end with them.
func (b *blockedClients) wakeRemoved(c *stream.Change) {
	switch {
	case len(b.keys) == 0:
	case c.Kind == stream.Remove:
		for _, number := range c.Numbers {
			if st := b.streams.state.ByNumber(number); st != nil {
				b.wake(st.Name())
			}
		}
	case c.Kind == stream.Flush:
		for name := range b.keys { // the order of the replies of one connection does not depend on it
			b.wake(name)
		}
	}
}

// dropDead drops the entries that are gone again.
func (k *blockedKey) dropDead(st *stream.Stream) {
	alive := k.added[:0]
	for _, a := range k.added {
		if st != nil && st.Number() == a.stream && st.Exists(a.id) {
			alive = append(alive, a)
		}
	}
	k.added = alive
}

// behind is the index of the first entry behind an id.
func (k *blockedKey) behind(after stream.ID) int {
	for i := range k.added {
		if after.Less(k.added[i].id) {
			return i
		}
	}
	return len(k.added)
}

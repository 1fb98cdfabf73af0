package server

import (
	"sync"
	"unsafe"
)

// chunk is a piece of an outbox. It starts where a frame starts, and holds either bytes, or one large frame, or a gap.
// The core owns it while it is in an outbox, under the outbox's mutex, and the writer from dequeuing it to its end.
type chunk struct {
	next, prev *chunk

	bytes   []byte
	in      *buffer     // what the bytes lie in, to be released
	large   *largeFrame // instead of bytes
	gap     *gap        // instead of bytes, until a writer takes it
	entries []entry     // in order; they cover the bytes
	weight  int         // what the chunk is counted for in memory: see outbox.weigh
	own     bool        // nobody else reads what follows its bytes: there may be room to append
	parting bool        // the last words to an evicted subscriber
}

// entry is what some whole frames, side by side in one chunk, are. An outbox may hold millions: two fill a cache line.
type entry struct {
	account *account // that the messages belong to; nil for the other kinds
	number  uint64   // of the last of the messages
	bytes   int      // where --max-message is large, 32 bits are too few
	count   int32    // messages
	kind    kind
	way     way // how messages are written
}

// kind is what an entry stands for.
type kind uint8

// The kinds.
const (
	kindMessages kind = iota
	kindReplies       // to the connection's own commands: never dropped, and not held against its limit
	kindMissed        // messages that were never queued: no bytes. On its way into an outbox only
	kindOther         // commands that a monitor is shown, notes of what was missed, last words
)

const (
	entrySize = int(unsafe.Sizeof(entry{}))
	chunkSize = int(unsafe.Sizeof(chunk{}))
	// keepEntries bounds the entries that a pooled chunk keeps room for: most chunks need one or two.
	keepEntries = 64
)

// follows reports whether one entry can stand for a and b, which comes right behind it.
func (a *entry) follows(b *entry) bool {
	return a.account == b.account && a.kind == b.kind && a.way == b.way
}

func (a *entry) extend(b *entry) {
	a.count += b.count
	a.bytes += b.bytes
	a.number = b.number
}

// chunks are kept for the next outbox that has something to write.
var chunks = sync.Pool{New: func() any { return new(chunk) }}

func newChunk() *chunk { return chunks.Get().(*chunk) }

// recycle gives back a chunk that is in no queue any more, and its hold on what it shows.
func (c *chunk) recycle() {
	c.in.release()
	if c.large != nil {
		c.large.in.release()
	}
	kept := c.entries[:0]
	if cap(kept) > keepEntries {
		kept = nil
	}
	clear(c.entries) // they must not keep an account alive
	*c = chunk{entries: kept}
	chunks.Put(c)
}

// size is how many bytes the chunk is on the wire. A gap has none until it is written out.
func (c *chunk) size() int {
	if c.large != nil {
		return c.large.size
	}
	return len(c.bytes)
}

// memory is what the chunk costs. A counted buffer is counted where it is filled, once for all who share it.
func (c *chunk) memory() int {
	n := chunkSize + cap(c.entries)*entrySize
	switch {
	case c.large != nil:
		n += c.large.memory()
	case c.in == nil:
		n += len(c.bytes)
	}
	return n
}

// add appends an entry, or extends the last one. It returns true if the chunk needs more memory for it.
func (c *chunk) add(e *entry) (grown bool) {
	if n := len(c.entries); n > 0 && c.entries[n-1].follows(e) {
		c.entries[n-1].extend(e)
		return false
	}
	before := cap(c.entries)
	c.entries = append(c.entries, *e)
	return cap(c.entries) != before
}

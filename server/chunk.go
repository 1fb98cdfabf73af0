package server

import (
	"sync"
	"unsafe"
)

// chunk is a piece of an outbox. It starts where a frame starts, and holds either bytes, or one large frame, or a gap.
// The core owns it while it is in an outbox, under the outbox's mutex, and the writer from dequeuing it to its end.
type chunk struct {
	next, prev *chunk

	bytes      []byte
	buf        *buffer     // what the bytes lie in, to be released
	large      *largeFrame // instead of bytes
	gap        *gap        // instead of bytes, until a writer takes it
	entries    []frameInfo // in order; they cover the bytes
	charged    int         // what the chunk is counted for in memory: see outbox.charge
	appendable bool        // nobody else reads what follows its bytes: there may be room to append
	notice     bool        // the close notice to an evicted subscriber
}

// frameInfo is what some whole frames, side by side in one chunk, are. An outbox may hold millions: two fill a cache line.
type frameInfo struct {
	account *subscriptionAccount // that the messages belong to; nil for the other kinds
	lastSeq uint64               // of the last of the messages
	bytes   int                  // where --max-message is large, 32 bits are too few
	count   int32                // messages
	kind    frameKind
	format  format // how messages are written
}

// frameKind is what an entry stands for.
type frameKind uint8

// The kinds.
const (
	kindMessages frameKind = iota
	kindReplies            // to the connection's own commands: never dropped, and not held against its limit
	kindMissed             // messages that were never queued: no bytes. On its way into an outbox only
	kindOther              // commands that a monitor is shown, losses, the close notice
)

const (
	frameInfoSize = int(unsafe.Sizeof(frameInfo{}))
	chunkSize     = int(unsafe.Sizeof(chunk{}))
	// maxPooledEntries bounds the entries that a pooled chunk keeps room for: most chunks need one or two.
	maxPooledEntries = 64
)

// mergeable reports whether one entry can stand for a and b, which comes right behind it.
func (a *frameInfo) mergeable(b *frameInfo) bool {
	return a.account == b.account && a.kind == b.kind && a.format == b.format
}

func (a *frameInfo) merge(b *frameInfo) {
	a.count += b.count
	a.bytes += b.bytes
	a.lastSeq = b.lastSeq
}

// chunks are kept for the next outbox that has something to write.
var chunks = sync.Pool{New: func() any { return new(chunk) }}

func newChunk() *chunk { return chunks.Get().(*chunk) }

// recycle gives back a chunk that is in no queue any more, and its hold on what it shows.
func (c *chunk) recycle() {
	c.buf.release()
	if c.large != nil {
		c.large.buf.release()
	}
	kept := c.entries[:0]
	if cap(kept) > maxPooledEntries {
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

// isEscaped reports whether the writer encodes the chunk's bytes as it goes: they do not exist before.
func (c *chunk) isEscaped() bool { return c.large != nil && c.large.escaped }

// memSize is what the chunk costs. A counted buffer is counted where it is filled, once for all who share it.
func (c *chunk) memSize() int {
	n := chunkSize + cap(c.entries)*frameInfoSize
	switch {
	case c.large != nil:
		n += c.large.memSize()
	case c.buf == nil:
		n += len(c.bytes)
	}
	return n
}

// add appends an entry, or extends the last one. It returns true if the chunk needs more memory for it.
func (c *chunk) add(e *frameInfo) (grown bool) {
	if n := len(c.entries); n > 0 && c.entries[n-1].mergeable(e) {
		c.entries[n-1].merge(e)
		return false
	}
	before := cap(c.entries)
	c.entries = append(c.entries, *e)
	return cap(c.entries) != before
}

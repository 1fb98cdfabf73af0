package outbox

import (
	"sync"
	"unsafe"
)

// chunk is a piece of an outbox. It starts where a frame starts, and holds either bytes, or one large frame, or a gap.
// The core owns it while it is in an outbox, under the outbox's mutex, and the writer from dequeuing it to its end.
type Chunk struct {
	Next, prev *Chunk

	bytes      []byte
	buf        *Buffer     // what the bytes lie in, to be released
	large      *LargeFrame // instead of bytes
	gap        *gap        // instead of bytes, until a writer takes it
	entries    []FrameInfo // in order; they cover the bytes
	charged    int         // what the chunk is counted for in memory: see outbox.charge
	appendable bool        // nobody else reads what follows its bytes: there may be room to append
	notice     bool        // the close notice to an evicted subscriber
}

// frameInfo is what some whole frames, side by side in one chunk, are. An outbox may hold millions: two fill a cache line.
type FrameInfo struct {
	Account *Account // that the messages belong to; nil for the other kinds
	LastSeq uint64   // of the last of the messages
	bytes   int      // where --max-message is large, 32 bits are too few
	Count   int32    // messages
	Kind    frameKind
	Format  Format // how messages are written
}

// frameKind is what an entry stands for.
type frameKind uint8

// The kinds.
const (
	kindMessages frameKind = iota
	KindReplies            // to the connection's own commands: never dropped, and not held against its limit
	KindMissed             // messages that were never queued: no bytes. On its way into an outbox only
	KindOther              // commands that a monitor is shown, losses, the close notice
)

const (
	frameInfoSize = int(unsafe.Sizeof(FrameInfo{}))
	chunkSize     = int(unsafe.Sizeof(Chunk{}))
	// maxPooledEntries bounds the entries that a pooled chunk keeps room for: most chunks need one or two.
	maxPooledEntries = 64
)

// mergeable reports whether one entry can stand for a and b, which comes right behind it.
func (a *FrameInfo) mergeable(b *FrameInfo) bool {
	return a.Account == b.Account && a.Kind == b.Kind && a.Format == b.Format
}

func (a *FrameInfo) Merge(b *FrameInfo) {
	a.Count += b.Count
	a.bytes += b.bytes
	a.LastSeq = b.LastSeq
}

// chunks are kept for the next outbox that has something to write.
var chunks = sync.Pool{New: func() any { return new(Chunk) }}

func newChunk() *Chunk { return chunks.Get().(*Chunk) }

// recycle gives back a chunk that is in no queue any more, and its hold on what it shows.
func (c *Chunk) recycle() {
	c.buf.Release()
	if c.large != nil {
		c.large.Buf.Release()
	}
	kept := c.entries[:0]
	if cap(kept) > maxPooledEntries {
		kept = nil
	}
	clear(c.entries) // they must not keep an account alive
	*c = Chunk{entries: kept}
	chunks.Put(c)
}

// size is how many bytes the chunk is on the wire. A gap has none until it is written out.
func (c *Chunk) Size() int {
	if c.large != nil {
		return c.large.Size
	}
	return len(c.bytes)
}

// isEscaped reports whether the writer encodes the chunk's bytes as it goes: they do not exist before.
func (c *Chunk) IsEscaped() bool { return c.large != nil && c.large.Escaped }

// memSize is what the chunk costs. A counted buffer is counted where it is filled, once for all who share it.
func (c *Chunk) memSize() int {
	n := chunkSize + cap(c.entries)*frameInfoSize
	switch {
	case c.large != nil:
		n += c.large.memSize()
	case c.buf == nil:
		n += len(c.bytes)
	}
	return n
}

// addEntries appends entries for bytes that are appended. It returns true if the chunk needs more memory for them.
func (c *Chunk) addEntries(entries []FrameInfo) (grown bool) {
	for i := range entries {
		grown = c.add(&entries[i]) || grown
	}
	return grown
}

// add appends an entry, or extends the last one. It returns true if the chunk needs more memory for it.
func (c *Chunk) add(e *FrameInfo) (grown bool) {
	if n := len(c.entries); n > 0 && c.entries[n-1].mergeable(e) {
		c.entries[n-1].Merge(e)
		return false
	}
	before := cap(c.entries)
	c.entries = append(c.entries, *e)
	return cap(c.entries) != before
}

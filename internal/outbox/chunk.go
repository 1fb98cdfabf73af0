package outbox

import (
	"sync"
	"unsafe"

	"github.com/conchmq/conch/protocol"
)

// Chunk is one element of an outbox. It starts at the start of a frame and holds bytes, or one large frame, or a
// gap.
//
// The core owns it in an outbox, under the mutex of that outbox. The writer owns it from dequeuing to recycling,
// without a lock.
type Chunk struct {
	// Next is the following chunk of the same queue.
	Next, prev *Chunk

	bytes []byte
	buf   *Buffer     // holds the bytes, and is released with the chunk
	large *LargeFrame // instead of bytes
	gap   *gap        // instead of bytes, until a writer dequeues it
	// entries cover the bytes, in order and without a rest.
	entries []FrameInfo
	// charged is the memory that the chunk is counted for: see Outbox.chargeChunk.
	charged int
	// appendable: the rest of the buffer belongs to this chunk alone, so bytes may be appended.
	appendable bool
	// barrier is the number of the record that the bytes wait for, and 0 for none. It stays when the record is released.
	barrier uint64
	// mark: the chunk is a Mark.
	mark bool
	// notice: the chunk is the close notice to an evicted subscriber.
	notice bool
}

// FrameInfo describes adjacent whole frames of one chunk. An outbox may hold millions: it is 24 bytes.
type FrameInfo struct {
	// Account is that of the messages' subscription; nil for the other kinds, but for replayed ones with a track.
	Account *Account
	// bytes on the wire. 32 bits are too few where --max-message is large.
	bytes int
	// Count is the number of messages.
	Count int32
	Kind  frameKind
	// Format is the wire format of the messages.
	Format Format
}

// frameKind is the content of an entry. The policies drop messages alone.
type frameKind uint8

const (
	kindMessages frameKind = iota
	// KindReplies are replies to the connection's own commands: never dropped, and not counted against its limit.
	KindReplies
	// KindReplayed are messages of the past, and what is missing among them: never dropped, and not counted against the limit.
	KindReplayed
	// KindFilled are replies that fill a place: see place.go. The limit of replies does not count them.
	KindFilled
	// KindMissed are messages that were never queued. They have no bytes, and no chunk holds them.
	KindMissed
	// KindOther are the commands that MONITOR shows, losses, and the close notice.
	KindOther
)

// isLimited reports whether the limit of messages counts the bytes.
func (k frameKind) isLimited() bool { return k == kindMessages || k == KindOther }

const (
	frameInfoSize = int(unsafe.Sizeof(FrameInfo{}))
	chunkSize     = int(unsafe.Sizeof(Chunk{}))
	// maxPooledEntries bounds the capacity for entries of a pooled chunk: most chunks need one or two.
	maxPooledEntries = 64
	// wideEntries is the capacity beyond: small messages of 100 topics in turn need an entry each, 150 a chunk.
	wideEntries = 512
)

// mergeable reports whether one entry can describe a and b, where b follows a without a byte between.
func (a *FrameInfo) mergeable(b *FrameInfo) bool {
	return a.Account == b.Account && a.Kind == b.Kind && a.Format == b.Format
}

// isTracked reports whether the entry has messages of a subscription whose position is kept.
func (a *FrameInfo) isTracked() bool { return a.Account != nil && a.Account.Track != nil }

// messages is the number of messages that count as delivered or undelivered.
func (a *FrameInfo) messages() int {
	if a.Kind == kindMessages {
		return int(a.Count)
	}
	return 0
}

// Merge extends a by b. Both must be mergeable.
func (a *FrameInfo) Merge(b *FrameInfo) {
	a.Count += b.Count
	a.bytes += b.bytes
}

// chunks are kept for the next outbox that has something to write.
var chunks = sync.Pool{New: func() any { return new(Chunk) }}

func newChunk() *Chunk { return chunks.Get().(*Chunk) }

// wideArrays keeps the entries of chunks that have many. A pooled chunk drops them: it would be charged for room that the
// next outbox has no use for. Without this pool they were four fifths of all that a load of 100 topics allocates.
var wideArrays = sync.Pool{New: func() any { return new([wideEntries]FrameInfo) }}

// reserve makes room for n more entries.
func (c *Chunk) reserve(n int) {
	need := len(c.entries) + n
	if need <= cap(c.entries) || need <= maxPooledEntries || need > wideEntries {
		return // append does it
	}
	wide := wideArrays.Get().(*[wideEntries]FrameInfo)[:0]
	c.entries = append(wide, c.entries...)
}

// recycle pools a chunk that is in no queue, and releases its buffers.
func (c *Chunk) recycle() {
	c.buf.Release()
	if c.large != nil {
		c.large.Buf.Release()
	}
	kept := c.entries[:0]
	clear(c.entries) // a pooled chunk must not keep an account alive
	if cap(kept) > maxPooledEntries {
		if cap(kept) == wideEntries {
			wideArrays.Put((*[wideEntries]FrameInfo)(kept[:wideEntries]))
		}
		kept = nil
	}
	*c = Chunk{entries: kept}
	chunks.Put(c)
}

// Size is the number of bytes on the wire. It is 0 for a gap that is not encoded yet.
func (c *Chunk) Size() int {
	if c.large != nil {
		return c.large.Size
	}
	return len(c.bytes)
}

// IsEscaped reports whether the writer encodes the bytes as it writes. They do not exist in memory before.
func (c *Chunk) IsEscaped() bool { return c.large != nil && c.large.Encoding != protocol.Verbatim }

// memSize is the memory that the chunk is charged. A counted buffer adds nothing: it is charged once, for all
// that share it.
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

// add appends an entry, or extends the last one. It returns true if the entries take more memory now.
func (c *Chunk) add(e *FrameInfo) (grown bool) {
	if n := len(c.entries); n > 0 && c.entries[n-1].mergeable(e) {
		c.entries[n-1].Merge(e)
		return false
	}
	before := cap(c.entries)
	c.reserve(1)
	c.entries = append(c.entries, *e)
	return cap(c.entries) != before
}

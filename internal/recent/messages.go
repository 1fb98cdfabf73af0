package recent

import (
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/internal/outbox"
)

const (
	// maxChunk and minChunk bound the usual size of a chunk; a message that is larger has one of its own size.
	maxChunk, minChunk = 256 << 10, 4 << 10
	// chunksPerLimit is how many chunks fill the bound, where that is within the two: what is kept shrinks by a chunk.
	chunksPerLimit = 16
)

// Messages holds the latest messages. The core appends; any goroutine may call the other methods.
type Messages struct {
	limit  int
	memory *outbox.MemoryLimit
	pool   outbox.Pool
	// last is the chunk to append to; nil at the start, and behind a message with a chunk of its own. The core owns it.
	last *Chunk
	// before is the number of the last message before the ring was made. It never changes.
	before uint64
	// appended counts the messages, and all numbers up to before. The core owns it.
	appended uint64

	mu      sync.Mutex // guards what follows. The core takes it once a chunk
	chunks  []*Chunk   // oldest first
	bytes   int        // of their buffers
	evicted uint64     // the sequence number of the newest message that is no longer kept; 0 if none is gone
}

// New makes an empty ring of that many bytes, for messages behind the one numbered before. Its buffers are charged to m.
func New(limit int, before uint64, m *outbox.MemoryLimit) *Messages {
	size := min(maxChunk, max(minChunk, limit/chunksPerLimit))
	return &Messages{
		limit: limit, memory: m, pool: outbox.Pool{BufferSize: size}, before: before, appended: before, evicted: before,
	}
}

// Start is the number of the first message that the ring could have.
func (m *Messages) Start() uint64 { return m.before + 1 }

// Append keeps messages of one topic that follow each other, numbered from first. now never goes back. The core calls it.
//
// source is the buffer that holds the payloads, or nil. A large message stays there; all others are copied.
func (m *Messages) Append(now time.Duration, first uint64, topic []byte, payloads [][]byte, source *outbox.Buffer) {
	for i, payload := range payloads {
		seq := first + uint64(i) //nolint:gosec // an index
		m.appended++
		switch {
		case len(payload) >= outbox.LargePayload:
			m.seal()
			m.push(m.newLarge(now, seq, topic, payload, source))
		case m.last == nil || !m.last.append(now, seq, topic, payload):
			m.seal()
			c := m.newChunk(now, seq, maxRecord(topic, payload))
			c.append(now, seq, topic, payload)
			c.commit()
			m.last = c
			m.push(c)
		}
	}
	if m.last != nil {
		m.last.commit()
	}
}

// seal ends the chunk to append to, so that the next message has another one.
func (m *Messages) seal() {
	if m.last != nil {
		m.last.commit()
		m.last = nil
	}
}

// newChunk makes an empty chunk for messages from seq on, with room for one of size bytes.
func (m *Messages) newChunk(now time.Duration, seq uint64, size int) *Chunk {
	c := &Chunk{first: seq, before: m.appended - 1, start: now, previous: seq, time: now}
	if size <= m.pool.BufferSize {
		c.buf = m.pool.Get(m.memory)
	} else {
		c.buf = outbox.WrapBuffer(m.memory, make([]byte, size))
	}
	return c
}

// newLarge makes the chunk of one large message.
func (m *Messages) newLarge(now time.Duration, seq uint64, topic, payload []byte, source *outbox.Buffer) *Chunk {
	c := &Chunk{first: seq, before: m.appended - 1, start: now}
	if source != nil && source.WorthPinning(len(payload)) {
		source.Retain()
		c.buf = source
	} else {
		payload = slices.Clone(payload)
		c.buf = outbox.WrapBuffer(m.memory, payload)
	}
	c.large = &Message{Sequence: seq, Time: now, Topic: slices.Clone(topic), Payload: payload, Buf: c.buf}
	c.last.Store(seq)
	return c
}

// push makes c the newest chunk, and drops the oldest ones beyond the bound.
func (m *Messages) push(c *Chunk) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chunks = append(m.chunks, c)
	m.bytes += int(c.buf.Size())
	gone := 0
	for ; m.bytes > m.limit && gone < len(m.chunks); gone++ {
		oldest := m.chunks[gone]
		m.evicted = oldest.last.Load()
		m.bytes -= int(oldest.buf.Size())
		oldest.Release()
		if oldest == m.last {
			m.last = nil // not even one chunk is within the bound
		}
	}
	if gone > 0 {
		m.chunks = slices.Delete(m.chunks, 0, gone)
	}
}

// Chunk returns the chunk with the first message that is kept and numbered from or higher, or nil if there is none yet. The caller releases
// it. evicted is the number of the newest message that is no longer kept.
func (m *Messages) Chunk(from uint64) (c *Chunk, evicted uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.index(from); i < len(m.chunks) {
		c = m.chunks[i]
		c.Retain()
	}
	return c, m.evicted
}

// Chunks returns all chunks that hold messages numbered from or higher. The caller releases them. evicted is as in Chunk.
func (m *Messages) Chunks(from uint64) (found []*Chunk, evicted uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found = slices.Clone(m.chunks[m.index(from):])
	for _, c := range found {
		c.Retain()
	}
	return found, m.evicted
}

// Evicted returns the number of the newest message that is no longer kept, 0 if none is gone.
func (m *Messages) Evicted() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.evicted
}

// IsNear reports whether the message numbered from is in the newest chunk, or is yet to come.
func (m *Messages) IsNear(from uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.index(from) >= len(m.chunks)-1
}

// Before returns the newest chunk that starts before the message numbered seq, or nil. The caller releases it.
func (m *Messages) Before(seq uint64) *Chunk {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := sort.Search(len(m.chunks), func(i int) bool { return m.chunks[i].first >= seq })
	if i == 0 {
		return nil
	}
	m.chunks[i-1].Retain()
	return m.chunks[i-1]
}

// Since returns the number of the first message that is kept and was appended at that time or later. Without one, it is
// the number behind the last.
func (m *Messages) Since(at time.Duration) uint64 {
	m.mu.Lock()
	i := max(0, sort.Search(len(m.chunks), func(i int) bool { return m.chunks[i].start >= at })-1)
	next, found := m.evicted+1, slices.Clone(m.chunks[i:min(len(m.chunks), i+2)])
	for _, c := range found {
		c.Retain()
	}
	m.mu.Unlock()
	defer func() {
		for _, c := range found {
			c.Release()
		}
	}()
	for _, c := range found { // the second one starts late enough
		for r, message := c.Reader(), (Message{}); r.Next(&message); next = message.Sequence + 1 {
			if message.Time >= at {
				return message.Sequence
			}
		}
	}
	return next
}

// index is the place of the first chunk that has messages numbered from or higher.
func (m *Messages) index(from uint64) int {
	return sort.Search(len(m.chunks), func(i int) bool { return m.chunks[i].last.Load() >= from })
}

// Stats is what is kept.
type Stats struct {
	Bytes  int    // memory
	Oldest uint64 // the number of the oldest message; 0 if there is none
}

// Stats returns what is kept now.
func (m *Messages) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.chunks) == 0 {
		return Stats{}
	}
	return Stats{m.bytes, m.chunks[0].first}
}

// Close releases all chunks. Nothing is appended afterwards.
func (m *Messages) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.chunks {
		c.Release()
	}
	m.chunks, m.bytes = nil, 0
}

// Chunk holds messages that follow each other. It belongs to the core while it grows; any goroutine that retains it
// may read it.
type Chunk struct {
	buf    *outbox.Buffer
	first  uint64        // the number of its first message
	before uint64        // messages appended before that
	start  time.Duration // the time of that
	large  *Message      // the only message, if that is large
	// size is how many bytes of the buffer hold whole messages; last is the number of the last of these.
	size atomic.Int64
	last atomic.Uint64

	// The core owns what follows: of the last message, which may not be committed yet.
	end      int
	previous uint64
	time     time.Duration
}

// First is the number of the first message.
func (c *Chunk) First() uint64 { return c.first }

// Last is the number of the last message so far.
func (c *Chunk) Last() uint64 { return c.last.Load() }

// Before is how many messages were appended before the first.
func (c *Chunk) Before() uint64 { return c.before }

// Retain adds a holder. The caller is one, or holds the lock of the ring, which is one.
func (c *Chunk) Retain() { c.buf.Retain() }

// Release ends the use of the chunk, and of all that its readers have returned.
func (c *Chunk) Release() { c.buf.Release() }

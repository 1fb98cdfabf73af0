package recent

import (
	"encoding/binary"
	"time"

	"github.com/conchmq/conch/internal/outbox"
)

// Message is one that is kept. Its bytes are those of the chunk, and valid until that is released.
type Message struct {
	Sequence uint64
	Time     time.Duration // by the core's clock, in milliseconds
	Topic    []byte
	Payload  []byte
	Buf      *outbox.Buffer // holds the bytes
}

// A record is four numbers, the topic and the payload. The first two numbers are differences to the message before: of
// the sequence number, and of the time. Both are mostly one byte.
const recordHeader = 4 * binary.MaxVarintLen64

// maxRecord is the most bytes that a message takes.
func maxRecord(topic, payload []byte) int { return recordHeader + len(topic) + len(payload) }

// append adds a message, and reports whether there was room. Readers see it after commit. The core calls both.
func (c *Chunk) append(now time.Duration, seq uint64, topic, payload []byte) bool {
	if len(c.buf.Bytes)-c.end < maxRecord(topic, payload) {
		return false
	}
	elapsed := (now - c.time).Truncate(time.Millisecond)
	b := c.buf.Bytes[c.end:c.end]
	b = binary.AppendUvarint(b, seq-c.previous)
	b = binary.AppendUvarint(b, uint64(elapsed/time.Millisecond)) //nolint:gosec // the clock never goes back
	b = binary.AppendUvarint(b, uint64(len(topic)))
	b = binary.AppendUvarint(b, uint64(len(payload)))
	b = append(append(b, topic...), payload...)
	c.end, c.previous, c.time = c.end+len(b), seq, c.time+elapsed
	return true
}

// commit shows readers what was appended. It stands behind the messages of a run: each of the two stores costs as much as
// a short copy.
func (c *Chunk) commit() {
	c.last.Store(c.previous)
	c.size.Store(int64(c.end))
}

// Reader is a place in a chunk. It belongs to one goroutine, which holds the chunk. A copy of it is another place.
type Reader struct {
	chunk    *Chunk
	at       int
	read     uint64 // messages
	previous uint64
	time     time.Duration
}

// Reader returns the place in front of the first message.
func (c *Chunk) Reader() Reader { return Reader{chunk: c, previous: c.first, time: c.start} }

// Next reads a message into m. It returns false at the end, behind which messages may come until there is another chunk.
func (r *Reader) Next(m *Message) bool {
	c := r.chunk
	if c.large != nil {
		if r.read > 0 {
			return false
		}
		r.read, *m = 1, *c.large
		return true
	}
	size := int(c.size.Load())
	if r.at == size {
		return false
	}
	b := c.buf.Bytes[r.at:size:size]
	rest := b
	number := func() uint64 {
		n, width := binary.Uvarint(rest)
		rest = rest[width:]
		return n
	}
	r.previous += number()
	r.time += time.Duration(number()) * time.Millisecond //nolint:gosec // append has written it
	topic, payload := number(), number()
	*m = Message{
		Sequence: r.previous, Time: r.time, Topic: rest[:topic:topic], Payload: rest[topic : topic+payload : topic+payload], Buf: c.buf,
	}
	r.at += len(b) - len(rest) + int(topic+payload) //nolint:gosec // lengths
	r.read++
	return true
}

// In reports whether the place is in that chunk.
func (r *Reader) In(c *Chunk) bool { return r.chunk == c }

// Read is how many messages of the chunk were read.
func (r *Reader) Read() uint64 { return r.read }

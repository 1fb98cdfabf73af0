package log

import (
	"sort"
	"sync/atomic"

	"github.com/conchmq/conch/internal/invariant"
)

// chunkSize is the usual size of a chunk, and what one call writes at most. A record that is larger has a chunk of its own.
const chunkSize = 1 << 20

// chunk is a piece of a segment in memory. The appender adds whole records at its end; a byte never changes once it is there, so
// that readers need no lock for it.
type chunk struct {
	segment *segment
	at      int64 // the offset of its first byte in the segment

	// Log.mu guards what follows.
	buf  []byte
	last uint64 // the number of the last record that it has, or that stands before it
	// behind is how many bytes had been appended to the log behind its last record.
	behind int64

	// refs counts the log and the readers that use it.
	refs atomic.Int32
	pool *chunkPool
}

// release ends the use of a chunk by one reader.
func (c *chunk) release() {
	if c.refs.Add(-1) == 0 {
		c.pool.put(c)
	}
}

// chunkAt returns the chunk in memory that has the record at an offset of a segment, and the whole records from there on, as far
// as they are appended. The caller releases the chunk. Without a chunk the record is in the file, or not appended yet.
func (l *Log) chunkAt(s *segment, at int64) (*chunk, []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := sort.Search(len(l.chunks), func(i int) bool {
		c := l.chunks[i]
		return c.segment.id > s.id || c.segment.id == s.id && c.at+int64(len(c.buf)) > at
	})
	if i == len(l.chunks) || l.chunks[i].segment != s || l.chunks[i].at > at {
		return nil, nil
	}
	c := l.chunks[i]
	c.refs.Add(1)
	return c, c.buf[at-c.at:]
}

// chunkPool keeps buffers of chunks, so that the appender does not wait for the memory of a new one.
type chunkPool struct{ free chan []byte }

// spareChunks is how many buffers wait for their use.
const spareChunks = 2

func newChunkPool() *chunkPool { return &chunkPool{make(chan []byte, spareChunks)} }

// get returns an empty buffer. That of a large record is made when it is there.
func (p *chunkPool) get(size int) []byte {
	if size > chunkSize {
		return nil
	}
	select {
	case b := <-p.free:
		return b
	default:
		return make([]byte, 0, chunkSize)
	}
}

// put takes the buffer of a chunk that has no reader.
func (p *chunkPool) put(c *chunk) {
	if cap(c.buf) != chunkSize {
		return
	}
	b := c.buf[:0]
	invariant.Scribble(c.buf[:len(c.buf):len(c.buf)])
	select {
	case p.free <- b:
	default:
	}
}

// prepare makes a buffer ready, off the core.
func (p *chunkPool) prepare() {
	if len(p.free) > 0 {
		return
	}
	select {
	case p.free <- make([]byte, 0, chunkSize):
	default:
	}
}

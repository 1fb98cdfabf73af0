package server

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// shareAt is from which length a span is sent from where it is instead of being copied into the outbox's own chunk,
	// if that is also worth the buffer it lies in.
	shareAt = 4 << 10
	// maxReplies is how many bytes of replies may wait before the connection's socket is left unread.
	maxReplies = 1 << 20
	// maxInFlight is how many batches of one connection may be with the core: the next is read when one is done.
	maxInFlight = 4
)

// outbox is the bytes that wait for one connection: a list of chunks, never one growing slice. The core adds at the
// back, one lock a round; the writer takes all there is, one lock a write.
type outbox struct {
	limit int64 // of message bytes; replies to the connection's own commands never evict it

	// Counted by the core as it flushes and by the writer as it writes; read by both, the sweeper and the reader.
	waiting atomic.Int64 // bytes handed over and not yet written
	replies atomic.Int64 // those of them that are replies

	softSince time.Duration // the sweeper's, by uptime
	extended  time.Duration // the writer's: when it last set a deadline, by uptime

	evicted atomic.Bool // set by the core, under mu: the writer finishes the frame it is in and drops the rest

	mu       sync.Mutex // guards what follows; held for copying at most a chunk's worth at a time
	reader   sync.Cond  // the reader waits here for inFlight and replies to fall
	chunks   []chunk
	writing  bool // there is a writer goroutine
	closing  bool // the connection is ending: its reader need not wait any more
	final    bool // nothing more will come, and the last deadline is set
	broken   bool // what comes is thrown away
	inFlight int
}

// chunk is a piece of an outbox. It starts where a frame starts.
type chunk struct {
	bytes   []byte
	in      *buffer // what they lie in, to be released
	own     bool    // nobody else reads it: there may be room to append
	replies int     // bytes of it that are replies and are still counted as waiting
	parting bool    // the last words to an evicted subscriber
}

// span is frames that lie side by side in memory, on their way into an outbox.
type span struct {
	bytes []byte
	in    *buffer
	reply bool
}

func (o *outbox) init(limit int) {
	o.limit = int64(limit)
	o.reader.L = &o.mu
}

// messages is how many bytes of messages wait.
func (o *outbox) messages() int64 { return o.waiting.Load() - o.replies.Load() }

// length is how many chunks wait, as CLIENT LIST shows it.
func (o *outbox) length() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.chunks)
}

// submitted notes a batch on its way to the core.
func (o *outbox) submitted() {
	o.mu.Lock()
	o.inFlight++
	o.mu.Unlock()
}

// waitToRead holds the reader back while too much of what it asked for is still to be done or to be written. It
// returns false when the connection is ending. With fence, everything submitted must have been applied.
func (o *outbox) waitToRead(fence bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	allowed := maxInFlight
	if fence {
		allowed = 1
	}
	for !o.broken && !o.closing && (o.inFlight >= allowed || o.replies.Load() > maxReplies) {
		o.reader.Wait()
	}
	return !o.broken && !o.closing
}

// wakeReader makes waitToRead return false.
func (o *outbox) wakeReader() {
	o.mu.Lock()
	o.closing = true
	o.mu.Unlock()
	o.reader.Broadcast()
}

// add takes what the core has queued in a round, and tells whether a writer must be started.
func (o *outbox) add(spans []span, applied int) (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inFlight -= applied
	o.reader.Signal()
	if o.broken || o.evicted.Load() {
		o.lose(spans)
		return false
	}
	for _, s := range spans {
		o.addSpan(s)
	}
	if o.writing || len(o.chunks) == 0 {
		return false
	}
	o.writing = true
	return true
}

// lose counts what can no longer be written: it stays counted as waiting, and what waits when the connection has ended
// is what it lost.
func (o *outbox) lose(spans []span) {
	for _, s := range spans {
		o.waiting.Add(int64(len(s.bytes)))
		s.in.release()
	}
}

// addSpan takes over the hold on the span's buffer.
func (o *outbox) addSpan(s span) {
	replies := 0
	if s.reply {
		replies = len(s.bytes)
		o.replies.Add(int64(replies))
	}
	o.waiting.Add(int64(len(s.bytes)))
	if len(s.bytes) >= shareAt && (s.in == nil || s.in.worth(len(s.bytes))) {
		o.chunks = append(o.chunks, chunk{bytes: s.bytes, in: s.in, replies: replies})
		return
	}
	last := len(o.chunks) - 1
	if last < 0 || !o.chunks[last].own || cap(o.chunks[last].bytes)-len(o.chunks[last].bytes) < len(s.bytes) {
		o.chunks = append(o.chunks, newChunk(len(s.bytes), last < 0 || !o.chunks[last].own))
		last++
	}
	c := &o.chunks[last]
	c.bytes = append(c.bytes, s.bytes...)
	c.replies += replies
	s.in.release()
}

// newChunk makes room for at least size bytes. The first, and the first behind a shared span, is small if that will do.
func newChunk(size int, first bool) chunk {
	var in *buffer
	if first && size <= smallBuffers.size {
		in = smallBuffers.get()
	} else {
		in = newBuffer(size)
	}
	return chunk{bytes: in.bytes[:0], in: in, own: true}
}

// release gives a chunk's bytes back once the writer is done with them.
func (c *chunk) release() {
	c.in.release()
	*c = chunk{}
}

// takeAll hands all chunks to the writer, which gives back the empty slice it had before. False ends the writer.
func (o *outbox) takeAll(empty []chunk, sock net.Conn) ([]chunk, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(partingTime))
	}
	if len(o.chunks) == 0 || o.broken {
		o.writing = false
		if cap(o.chunks) > 8 {
			o.chunks = nil // it was long once; an idle connection must not keep that
		}
		return nil, false
	}
	chunks := o.chunks
	o.chunks = empty
	return chunks, true
}

// wrote notes progress: n bytes are with the kernel, so many of them replies.
func (o *outbox) wrote(n, replies int) {
	o.waiting.Add(-int64(n))
	if replies == 0 {
		return
	}
	if left := o.replies.Add(-int64(replies)); left <= maxReplies && left+int64(replies) > maxReplies {
		o.mu.Lock()
		o.mu.Unlock() //nolint:staticcheck // the reader is either before its check or waiting: none misses the signal
		o.reader.Signal()
	}
}

// extend gives the peer a fresh while to take something, unless the connection is closing: that deadline stands. It
// looks at the clock for each write, but touches the deadline only once in a quarter of that while, and gives that
// quarter on top.
func (o *outbox) extend(sock net.Conn, patience time.Duration) {
	now := uptime()
	if o.extended > 0 && now-o.extended < patience/4 {
		return
	}
	o.extended = now
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.broken && !o.final && !o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(patience + patience/4)) // fails only on a closed socket: so does the write that follows
	}
}

// close is called when nothing more will come: the writer has until the deadline for what is there.
func (o *outbox) close(sock net.Conn, drain time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closing, o.final = true, true
	if !o.broken && !o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(drain))
	}
}

// evict drops what waits and leaves parting words instead, if there are any. The writer is woken out of a write that
// the peer does not take. True means that a writer must be started.
func (o *outbox) evict(sock net.Conn, parting []byte) (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return false
	}
	o.evicted.Store(true)
	o.drop()
	if len(parting) > 0 {
		o.waiting.Add(int64(len(parting)))
		o.chunks = append(o.chunks, chunk{bytes: parting, parting: true})
	}
	if o.writing {
		_ = sock.SetWriteDeadline(time.Unix(1, 0)) // see finishFrame and takeAll for the next one
		return false
	}
	o.writing = len(o.chunks) > 0
	return o.writing
}

// part gives an evicted peer its last moment.
func (o *outbox) part(sock net.Conn) error {
	o.mu.Lock() // evict may be about to set its own deadline
	defer o.mu.Unlock()
	return sock.SetWriteDeadline(time.Now().Add(partingTime))
}

// fail throws away what waits and what may still come: the peer will not get it.
func (o *outbox) fail() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken, o.writing = true, false
	o.drop()
	o.reader.Broadcast()
}

func (o *outbox) drop() {
	for i := range o.chunks {
		o.chunks[i].release()
	}
	o.chunks = nil
}

package client

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/conchmq/conch/internal/invariant"
)

// ackWindow is what has become of each message of one connection. It knows neither sockets nor locks: its pubConn guards it.
//
// Messages are counted from 1, and replies come in the order of the messages, so that five counts tell everything:
//
//	settled ≤ written ≤ handed ≤ count    settled ≤ replied ≤ handed
//
// A message is settled when it is replied to and written: a reply that comes before its message has left us is kept
// until it has, and never counts if it does not.
type ackWindow struct {
	connection  int
	window      int // messages
	windowBytes int

	count   uint64 // messages taken
	sent    uint64 // given to the writer, who may be writing them
	written uint64 // all of whose bytes the socket has taken
	replied uint64
	settled uint64 // acknowledged, or refused

	slots   []slot // by count; as many as fit in two windows, rounded up to a power of two
	buffer  sendBuffer
	lastSeq uint64 // the last that came, or 0 where none do

	refused     []unacked // by count: those that nobody has taken, and those taken that Wait may still ask for
	unreturned  struct{ messages, bytes int }
	refusedIDs  []uint64  // counts of those that have left refused, rising
	expiredUpTo uint64    // the last count that has left past
	lost        []unacked // what was not settled when the connection ended
}

// maxRefusedIDs is how many refused messages are remembered when they are neither recent nor to be taken any more.
const maxRefusedIDs = 64 << 10

// slot is one message: where it is, and what the reply was.
type slot struct {
	ordinal   uint64 // its place among all messages of the publisher
	end       uint64 // where the byte behind it stands in the stream
	published Published
}

// ack is one reply to one message.
type ack struct {
	published Published
	refusal   *Error // in place of it
}

func newAckWindow(connection, window, windowBytes int) ackWindow {
	slots := 2
	for slots < 2*window {
		slots *= 2
	}
	return ackWindow{connection: connection, window: window, windowBytes: windowBytes, slots: make([]slot, slots)}
}

func (w *ackWindow) slot(count uint64) *slot { return &w.slots[count&uint64(len(w.slots)-1)] }

// inFlight is how many messages have no reply, those that have not been written included.
func (w *ackWindow) inFlight() uint64 { return w.count - w.settled }

// hasRoom tells whether a record fits into the window. One that is larger than the window goes alone.
func (w *ackWindow) hasRoom(r *Record) bool {
	used := w.slot(w.count).end - w.slot(w.settled).end
	return w.inFlight() == 0 ||
		w.inFlight() < uint64(w.window) && used+uint64(r.maxSize()) <= uint64(w.windowBytes)
}

// append takes a record that there is room for.
func (w *ackWindow) append(r *Record, ordinal uint64) {
	end := w.slot(w.count).end
	b := w.buffer.grow(r.maxSize(), end)
	b.bytes = appendPublish(b.bytes, r.Topic, r.Payload)
	w.count++
	b.lastCount = w.count
	*w.slot(w.count) = slot{ordinal: ordinal, end: b.end()}
}

// nextWrite gives the next bytes to write. There must be some.
func (w *ackWindow) nextWrite() []byte {
	chunk, last := w.buffer.nextWrite()
	w.sent = last
	return chunk
}

// recordWritten books how many bytes of the last piece the socket did not take. If there are any, nothing more must be written.
func (w *ackWindow) recordWritten(missing int) {
	for w.written < w.sent && w.slot(w.written+1).end <= w.buffer.sent-uint64(missing) {
		w.written++
	}
}

// recordReply books the reply to the oldest message that has none. An error means that the server cannot be believed.
func (w *ackWindow) recordReply(reply ack) error {
	switch seq := reply.published.Sequence; {
	case w.replied == w.sent && reply.refusal != nil:
		// In words alone: what is lost thereby must not look as if it had been refused.
		return fmt.Errorf("%w: %s", ErrClosedByServer, reply.refusal.Error())
	case w.replied == w.sent:
		return malformed("a reply to no command")
	case seq > 0 && seq <= w.lastSeq:
		return malformed("sequence %d after sequence %d", seq, w.lastSeq)
	case seq > 0:
		w.lastSeq = seq
	}
	w.replied++
	if reply.refusal != nil {
		refused := w.copyUnacked(w.replied, reply.refusal)
		w.refused = append(w.refused, refused)
		w.unreturned.messages++
		w.unreturned.bytes += len(refused.Topic) + len(refused.Payload)
	}
	w.slot(w.replied).published = reply.published
	return nil
}

// settle counts what is both written and replied to, and tells whether that was anything.
func (w *ackWindow) settle() bool {
	settled := min(w.written, w.replied)
	if settled == w.settled {
		return false
	}
	w.settled = settled
	w.buffer.release(w.slot(settled).end)
	return true
}

// copyUnacked is a message that is in flight, with a copy of its bytes.
func (w *ackWindow) copyUnacked(count uint64, cause error) unacked {
	s := w.slot(count)
	r := parseRecord(w.buffer.slice(w.slot(count-1).end, s.end))
	return unacked{
		Unacked: Unacked{ID: newMessageID(w.connection, count), Topic: r.Topic, Payload: r.Payload, Cause: cause},
		ordinal: s.ordinal,
	}
}

// finish draws the line: whatever is not settled is lost. The writer must be done.
func (w *ackWindow) finish(cause error) {
	for n := len(w.refused); n > 0 && w.refused[n-1].ID.count() > w.settled; n-- {
		w.releaseRefused(&w.refused[n-1]) // refused before it was written: its reply does not count
		w.refused = w.refused[:n-1]
	}
	if w.settled < w.count {
		cause = fmt.Errorf("%w: %w", ErrOutcomeUnknown, cause)
	}
	for count := w.settled + 1; count <= w.count; count++ {
		w.lost = append(w.lost, w.copyUnacked(count, cause))
		w.buffer.release(w.slot(count).end) // so that the next one is found at once
	}
	w.buffer = sendBuffer{}
	invariant.Check(w.settled+uint64(len(w.lost)) == w.count, "%d messages: %d settled, %d lost", w.count, w.settled, len(w.lost))
}

// releaseRefused lets go of the bytes of a refused message.
func (w *ackWindow) releaseRefused(u *unacked) {
	if !u.returned {
		w.unreturned.messages--
		w.unreturned.bytes -= len(u.Topic) + len(u.Payload)
	}
	u.Topic, u.Payload, u.returned = "", nil, true
}

// take hands out, once, what was refused and what was lost.
func (w *ackWindow) take() []unacked {
	taken := w.lost
	w.lost = nil
	for i := range w.refused {
		if u := &w.refused[i]; !u.returned && u.ID.count() <= w.settled {
			taken = append(taken, *u)
			w.releaseRefused(u)
		}
	}
	old := 0
	for old < len(w.refused) && w.refused[old].returned && !w.recent(w.refused[old].ID.count()) {
		w.refusedIDs = append(w.refusedIDs, w.refused[old].ID.count())
		old++
	}
	w.refused = slices.Delete(w.refused, 0, old)
	if excess := len(w.refusedIDs) - maxRefusedIDs; excess > 0 {
		w.expiredUpTo = w.refusedIDs[excess-1]
		w.refusedIDs = w.refusedIDs[excess:] // and not moved: append does so now and then
	}
	return taken
}

// recent tells whether a message is among the last two windows.
func (w *ackWindow) recent(count uint64) bool { return count+2*uint64(w.window) > w.count }

// result says what has become of a message that is settled.
func (w *ackWindow) result(count uint64) (Published, error) {
	i, refused := slices.BinarySearchFunc(w.refused, count, func(u unacked, count uint64) int {
		return cmp.Compare(u.ID.count(), count)
	})
	switch {
	case refused:
		return Published{}, w.refused[i].Cause
	case w.recent(count):
		return w.slot(count).published, nil
	case count <= w.expiredUpTo:
		return Published{}, ErrExpired
	}
	if _, refused := slices.BinarySearch(w.refusedIDs, count); refused {
		return Published{}, ErrRefused
	}
	return Published{Receivers: -1}, nil
}

// firstErr is why messages have not been acknowledged that nobody has taken, or nil if there are none.
func (w *ackWindow) firstErr() error {
	if len(w.lost) > 0 {
		return w.lost[0].Cause
	}
	for i := range w.refused {
		if u := &w.refused[i]; !u.returned && u.ID.count() <= w.settled {
			return u.Cause
		}
	}
	return nil
}

// backlogErr is an error when so much has been refused that nothing more is taken before somebody has asked for it.
func (w *ackWindow) backlogErr() error {
	if w.unreturned.messages < w.window && w.unreturned.bytes < w.windowBytes {
		return nil
	}
	last := w.refused[len(w.refused)-1] // which is among them, because take leaves none out
	return fmt.Errorf("%w: %w", ErrBacklog, last.Cause)
}

package client

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/conchmq/conch/internal/invariant"
)

// ackWindow keeps the state of each message of one connection. It has no lock of its own: the mu of its pubConn guards
// it.
//
// Messages are counted from 1, and replies arrive in their order, so five counts describe all states:
//
//	settled ≤ written ≤ sent ≤ count    settled ≤ replied ≤ sent
//
// A message is settled when it is both written and replied to. A reply that arrives before its message is written
// counts only once it is.
type ackWindow struct {
	connection  int
	window      int // messages
	windowBytes int

	count   uint64 // messages accepted
	sent    uint64 // given to the writer, perhaps still being written
	written uint64 // completely written to the socket
	replied uint64
	settled uint64 // acknowledged or refused

	slots   []slot // indexed by count; two windows, rounded up to a power of two
	buffer  sendBuffer
	lastSeq uint64 // of the last reply; 0 without sequence numbers

	refused     []unacked                     // by count: not yet returned, or recent enough for result to need the cause
	unreturned  struct{ messages, bytes int } // refused or lost, and not returned by take
	refusedIDs  []uint64                      // counts of messages that have left refused, ascending
	lost        []unacked                     // not settled when the connection ended, and not returned by take
	losses      []loss                        // one for each connection that ended with messages in flight
	expiredUpTo uint64                        // last count that has left refusedIDs or losses
}

// loss is a range of counts whose outcome is unknown.
type loss struct {
	first, last uint64
	cause       error
}

// maxLosses bounds losses. A Publisher that reconnects has one for each break.
const maxLosses = 1 << 10

// maxRefusedIDs bounds the refused messages whose ids are kept after they were returned and have left the last two
// windows.
const maxRefusedIDs = 64 << 10

// slot is the state of one message.
type slot struct {
	ordinal   uint64 // position among all messages of the publisher
	end       uint64 // offset of the byte behind it in the stream
	published Published
}

// ack is the reply to one message.
type ack struct {
	published Published
	refusal   *Error // in place of published
}

func newAckWindow(connection, window, windowBytes int) ackWindow {
	slots := 2
	for slots < 2*window {
		slots *= 2
	}
	return ackWindow{connection: connection, window: window, windowBytes: windowBytes, slots: make([]slot, slots)}
}

func (w *ackWindow) slot(count uint64) *slot { return &w.slots[count&uint64(len(w.slots)-1)] }

// inFlight returns how many messages are not settled, unwritten ones included.
func (w *ackWindow) inFlight() uint64 { return w.count - w.settled }

// hasRoom reports whether a record fits. A record larger than the window fits when the window is empty.
func (w *ackWindow) hasRoom(r *Record) bool {
	used := w.slot(w.count).end - w.slot(w.settled).end
	return w.inFlight() == 0 ||
		w.inFlight() < uint64(w.window) && used+uint64(r.maxSize()) <= uint64(w.windowBytes)
}

// append adds a record, for which there must be room.
func (w *ackWindow) append(r *Record, ordinal uint64) {
	end := w.slot(w.count).end
	b := w.buffer.grow(r.maxSize(), end)
	b.bytes = appendPublish(b.bytes, r.Topic, r.Payload)
	w.count++
	b.lastCount = w.count
	*w.slot(w.count) = slot{ordinal: ordinal, end: b.end()}
}

// nextWrite returns the next bytes to write. There must be some.
func (w *ackWindow) nextWrite() []byte {
	chunk, last := w.buffer.nextWrite()
	w.sent = last
	return chunk
}

// recordWritten records a write that left out the last missing bytes. If there are any, nothing more may be written.
func (w *ackWindow) recordWritten(missing int) {
	for w.written < w.sent && w.slot(w.written+1).end <= w.buffer.sent-uint64(missing) {
		w.written++
	}
}

// recordReply records the reply to the oldest message without one. An error means that the server breaks the protocol.
func (w *ackWindow) recordReply(reply ack) error {
	switch seq := reply.published.Sequence; {
	case w.replied == w.sent && reply.refusal != nil:
		// Not wrapped: errors.As must not find a refusal of messages that are lost here.
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

// settle settles what is both written and replied to, and reports whether that was any message.
func (w *ackWindow) settle() bool {
	settled := min(w.written, w.replied)
	if settled == w.settled {
		return false
	}
	w.settled = settled
	w.buffer.release(w.slot(settled).end)
	return true
}

// copyUnacked returns a message in flight with a copy of its bytes.
func (w *ackWindow) copyUnacked(count uint64, cause error) unacked {
	s := w.slot(count)
	r := parseRecord(w.buffer.slice(w.slot(count-1).end, s.end))
	return unacked{
		Unacked: Unacked{ID: newMessageID(w.connection, count), Topic: r.Topic, Payload: r.Payload, Cause: cause},
		ordinal: s.ordinal,
	}
}

// finish makes all messages that are not settled lost. The writer must have returned.
func (w *ackWindow) finish(cause error) {
	for n := len(w.refused); n > 0 && w.refused[n-1].ID.count() > w.settled; n-- {
		w.releaseRefused(&w.refused[n-1]) // refused before it was written: the reply does not count
		w.refused = w.refused[:n-1]
	}
	if w.settled == w.count {
		w.buffer = sendBuffer{}
		return
	}
	cause = fmt.Errorf("%w: %w", ErrOutcomeUnknown, cause)
	for count := w.settled + 1; count <= w.count; count++ {
		u := w.copyUnacked(count, cause)
		w.lost = append(w.lost, u)
		w.unreturned.messages++
		w.unreturned.bytes += len(u.Topic) + len(u.Payload)
		w.buffer.release(w.slot(count).end) // the next lookup starts at the head
	}
	w.buffer = sendBuffer{}
	w.losses = append(w.losses, loss{w.settled + 1, w.count, cause})
	if len(w.losses) > maxLosses {
		w.expiredUpTo = max(w.expiredUpTo, w.losses[0].last)
		w.losses = slices.Delete(w.losses, 0, 1)
	}
}

// resume continues with another connection after finish. Counts and offsets go on.
func (w *ackWindow) resume(lastSeq uint64) {
	invariant.Check(w.inFlight() == 0 || len(w.losses) > 0, "%d messages vanished", w.inFlight())
	w.sent, w.written, w.replied, w.settled = w.count, w.count, w.count, w.count
	w.buffer.sent = w.slot(w.count).end
	w.lastSeq = lastSeq
}

// releaseRefused drops the bytes of a refused message; its cause stays for result.
func (w *ackWindow) releaseRefused(u *unacked) {
	if !u.returned {
		w.unreturned.messages--
		w.unreturned.bytes -= len(u.Topic) + len(u.Payload)
	}
	u.Topic, u.Payload, u.returned = "", nil, true
}

// take returns each refused or lost message once.
func (w *ackWindow) take() []unacked {
	taken := w.lost
	w.lost = nil
	for i := range taken {
		w.unreturned.messages--
		w.unreturned.bytes -= len(taken[i].Topic) + len(taken[i].Payload)
	}
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
		w.expiredUpTo = max(w.expiredUpTo, w.refusedIDs[excess-1])
		w.refusedIDs = w.refusedIDs[excess:] // append moves the rest when it reallocates
	}
	return taken
}

// recent reports whether a message is among the last two windows.
func (w *ackWindow) recent(count uint64) bool { return count+2*uint64(w.window) > w.count }

// result returns the acknowledgement or the error of a settled or lost message.
func (w *ackWindow) result(count uint64) (Published, error) {
	if count <= w.expiredUpTo {
		return Published{}, ErrExpired
	}
	at, _ := slices.BinarySearchFunc(w.losses, count, func(l loss, count uint64) int { return cmp.Compare(l.last, count) })
	if at < len(w.losses) && count >= w.losses[at].first {
		return Published{}, w.losses[at].cause
	}
	i, refused := slices.BinarySearchFunc(w.refused, count, func(u unacked, count uint64) int {
		return cmp.Compare(u.ID.count(), count)
	})
	switch {
	case refused:
		return Published{}, w.refused[i].Cause
	case w.recent(count):
		return w.slot(count).published, nil
	}
	if _, refused := slices.BinarySearch(w.refusedIDs, count); refused {
		return Published{}, ErrRefused
	}
	return Published{Receivers: -1}, nil
}

// firstErr returns the cause of the first unacknowledged message that take has not returned, or nil.
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

// backlogErr returns an error while refused and lost messages that take has not returned fill a window. Without this bound they
// would fill the memory.
func (w *ackWindow) backlogErr() error {
	if w.unreturned.messages < w.window && w.unreturned.bytes < w.windowBytes {
		return nil
	}
	last := w.lost // one of the two has a message that take has not returned
	if n := len(w.refused); n > 0 && !w.refused[n-1].returned {
		last = w.refused
	}
	return fmt.Errorf("%w: %w", ErrBacklog, last[len(last)-1].Cause)
}

package client

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/conchmq/conch/internal/invariant"
)

// account is what has become of each message of one connection. It knows neither sockets nor locks: its lane guards it.
//
// Messages are counted from 1, and replies come in the order of the messages, so that five counts tell everything:
//
//	settled ≤ written ≤ handed ≤ count    settled ≤ replied ≤ handed
//
// A message is settled when it is replied to and written: a reply that comes before its message has left us is kept
// until it has, and never counts if it does not.
type account struct {
	connection  int
	window      int // messages
	windowBytes int

	count   uint64 // messages taken
	handed  uint64 // given to the writer, who may be writing them
	written uint64 // all of whose bytes the socket has taken
	replied uint64
	settled uint64 // acknowledged, or refused

	slots    []slot // by count; as many as fit in two windows, rounded up to a power of two
	segments segments
	number   uint64 // the last that came, or 0 where none do

	refused []unacked // by count: those that nobody has taken, and those taken that Wait may still ask for
	untaken struct{ messages, bytes int }
	past    []uint64  // counts of those that have left refused, rising
	faded   uint64    // the last count that has left past
	lost    []unacked // what was not settled when the connection ended
}

// maxPast is how many refused messages are remembered when they are neither recent nor to be taken any more.
const maxPast = 64 << 10

// slot is one message: where it is, and what the reply was.
type slot struct {
	order     uint64 // its place among all messages of the publisher
	end       uint64 // where the byte behind it stands in the stream
	published Published
}

// answer is one reply to one message.
type answer struct {
	published Published
	refusal   *Error // in place of it
}

func newAccount(connection, window, windowBytes int) account {
	slots := 2
	for slots < 2*window {
		slots *= 2
	}
	return account{connection: connection, window: window, windowBytes: windowBytes, slots: make([]slot, slots)}
}

func (a *account) slot(count uint64) *slot { return &a.slots[count&uint64(len(a.slots)-1)] }

// inFlight is how many messages have no reply, those that have not been written included.
func (a *account) inFlight() uint64 { return a.count - a.settled }

// room tells whether a record fits into the window. One that is larger than the window goes alone.
func (a *account) room(r *Record) bool {
	waiting := a.slot(a.count).end - a.slot(a.settled).end
	return a.inFlight() == 0 ||
		a.inFlight() < uint64(a.window) && waiting+uint64(r.bound()) <= uint64(a.windowBytes)
}

// put takes a record that there is room for.
func (a *account) put(r *Record, order uint64) {
	end := a.slot(a.count).end
	s := a.segments.grow(r.bound(), end)
	s.bytes = appendPublish(s.bytes, r.Topic, r.Payload)
	a.count++
	s.last = a.count
	*a.slot(a.count) = slot{order: order, end: s.end()}
}

// piece gives the next bytes to write. There must be some.
func (a *account) piece() []byte {
	piece, last := a.segments.piece()
	a.handed = last
	return piece
}

// wrote books how many bytes of the last piece the socket did not take. If there are any, nothing more must be written.
func (a *account) wrote(missing int) {
	for a.written < a.handed && a.slot(a.written+1).end <= a.segments.handed-uint64(missing) {
		a.written++
	}
}

// answered books the reply to the oldest message that has none. An error means that the server cannot be believed.
func (a *account) answered(r answer) error {
	switch number := r.published.Number; {
	case a.replied == a.handed && r.refusal != nil:
		// In words alone: what is lost thereby must not look as if it had been refused.
		return fmt.Errorf("%w: %s", ErrDismissed, r.refusal.Error())
	case a.replied == a.handed:
		return malformed("a reply to nothing")
	case number > 0 && number <= a.number:
		return malformed("number %d after number %d", number, a.number)
	case number > 0:
		a.number = number
	}
	a.replied++
	if r.refusal != nil {
		refused := a.copyOf(a.replied, r.refusal)
		a.refused = append(a.refused, refused)
		a.untaken.messages++
		a.untaken.bytes += len(refused.Topic) + len(refused.Payload)
	}
	a.slot(a.replied).published = r.published
	return nil
}

// settle counts what is both written and replied to, and tells whether that was anything.
func (a *account) settle() bool {
	to := min(a.written, a.replied)
	if to == a.settled {
		return false
	}
	a.settled = to
	a.segments.release(a.slot(to).end)
	return true
}

// copyOf is a message that is in flight, with a copy of its bytes.
func (a *account) copyOf(count uint64, cause error) unacked {
	s := a.slot(count)
	r := parseRecord(a.segments.at(a.slot(count-1).end, s.end))
	return unacked{
		Unacked: Unacked{ID: newMessageID(a.connection, count), Topic: r.Topic, Payload: r.Payload, Cause: cause},
		order:   s.order,
	}
}

// end draws the line: whatever is not settled is lost. The writer must be done.
func (a *account) end(cause error) {
	for n := len(a.refused); n > 0 && a.refused[n-1].ID.count() > a.settled; n-- {
		a.forget(&a.refused[n-1]) // refused before it was written: its reply does not count
		a.refused = a.refused[:n-1]
	}
	if a.settled < a.count {
		cause = fmt.Errorf("%w: %w", ErrFateUnknown, cause)
	}
	for count := a.settled + 1; count <= a.count; count++ {
		a.lost = append(a.lost, a.copyOf(count, cause))
		a.segments.release(a.slot(count).end) // so that the next one is found at once
	}
	a.segments = segments{}
	invariant.Check(a.settled+uint64(len(a.lost)) == a.count, "%d messages: %d settled, %d lost", a.count, a.settled, len(a.lost))
}

// forget lets go of the bytes of a refused message.
func (a *account) forget(u *unacked) {
	if !u.taken {
		a.untaken.messages--
		a.untaken.bytes -= len(u.Topic) + len(u.Payload)
	}
	u.Topic, u.Payload, u.taken = "", nil, true
}

// take hands out, once, what was refused and what was lost.
func (a *account) take() []unacked {
	taken := a.lost
	a.lost = nil
	for i := range a.refused {
		if u := &a.refused[i]; !u.taken && u.ID.count() <= a.settled {
			taken = append(taken, *u)
			a.forget(u)
		}
	}
	old := 0
	for old < len(a.refused) && a.refused[old].taken && !a.recent(a.refused[old].ID.count()) {
		a.past = append(a.past, a.refused[old].ID.count())
		old++
	}
	a.refused = slices.Delete(a.refused, 0, old)
	if over := len(a.past) - maxPast; over > 0 {
		a.faded = a.past[over-1]
		a.past = a.past[over:] // and not moved: append does so now and then
	}
	return taken
}

// recent tells whether a message is among the last two windows.
func (a *account) recent(count uint64) bool { return count+2*uint64(a.window) > a.count }

// ack says what has become of a message that is settled.
func (a *account) ack(count uint64) (Published, error) {
	i, refused := slices.BinarySearchFunc(a.refused, count, func(u unacked, count uint64) int {
		return cmp.Compare(u.ID.count(), count)
	})
	switch {
	case refused:
		return Published{}, a.refused[i].Cause
	case a.recent(count):
		return a.slot(count).published, nil
	case count <= a.faded:
		return Published{}, ErrForgotten
	}
	if _, refused := slices.BinarySearch(a.past, count); refused {
		return Published{}, ErrRefused
	}
	return Published{Receivers: -1}, nil
}

// failure is why messages have not been acknowledged that nobody has taken, or nil if there are none.
func (a *account) failure() error {
	if len(a.lost) > 0 {
		return a.lost[0].Cause
	}
	for i := range a.refused {
		if u := &a.refused[i]; !u.taken && u.ID.count() <= a.settled {
			return u.Cause
		}
	}
	return nil
}

// clogged is an error when so much has been refused that nothing more is taken before somebody has asked for it.
func (a *account) clogged() error {
	if a.untaken.messages < a.window && a.untaken.bytes < a.windowBytes {
		return nil
	}
	last := a.refused[len(a.refused)-1] // which is among them, because take leaves none out
	return fmt.Errorf("%w: %w", ErrClogged, last.Cause)
}

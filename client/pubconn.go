package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// errElsewhere says that a lane takes no more messages.
var errElsewhere = errors.New("this connection takes no more messages")

// lane is one connection of a Publisher: a pipeline with a window. Publishers add messages to its account, a writer
// brings them to the socket, as many at once as have come together meanwhile, and a reader counts the replies.
//
// A lane that works is closed by drain, when its publisher stops, and then ends when nothing is in flight any more; or
// it breaks, and then the account tells what is lost. It never sends anything twice, and nobody dials it again.
type lane struct {
	wire   *wire
	silent time.Duration // how long there may be no acknowledgement while something is in flight; 0: for ever
	grace  time.Duration // how long replies are waited for when nothing can be written any more
	blame  func(error)   // told why the lane broke, before anybody can notice that it has; must not block

	mu sync.Mutex // guards what follows; nobody waits while holding it
	account
	waiters waiters
	writer  sync.Cond // the writer waits here for messages
	kept    bool      // the next room is for somebody who has waited long
	closed  bool      // takes no more messages
	by      time.Time // once closed: until when replies are waited for
	until   time.Time // before: when there must have been an acknowledgement; zero if there is no such moment
	broken  error     // why nothing can be written any more, or not read
	ended   bool      // nothing is read or written any more
	dead    bool      // reader and writer are gone, the account is final
}

func newLane(w *wire, a account, silent, grace time.Duration, blame func(error)) *lane {
	l := &lane{wire: w, silent: silent, grace: grace, blame: blame, account: a}
	l.number = w.number
	w.pulse.again = l.again
	l.writer.L = &l.mu
	return l
}

// run is the lane's reader, and waits for its writer. When it returns, the account is final.
func (l *lane) run() {
	var writer sync.WaitGroup
	writer.Go(l.write)
	err := l.read()
	l.mu.Lock()
	l.breakLocked(err)
	l.endLocked()
	l.mu.Unlock()
	writer.Wait()
	_ = l.wire.Close() // whatever it says, the socket is gone
	l.mu.Lock()
	if said := l.wire.farewell; said != nil && l.broken != nil && !errors.Is(l.broken, said) {
		l.broken = fmt.Errorf("%w; %w", l.broken, said) // the writer was the first to notice
	}
	l.end(l.broken)
	l.dead = true
	l.waiters.wake(math.MaxUint64)
	l.mu.Unlock()
}

// publish takes at least one of the records, waiting for room if it must, and as many more as there is room for.
func (l *lane) publish(ctx context.Context, order *atomic.Uint64, records []Record) (first uint64, n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.roomLocked(ctx, &records[0]); err != nil {
		return 0, 0, err
	}
	first = l.count + 1
	for n < len(records) && l.room(&records[n]) {
		l.put(&records[n], order.Add(1))
		n++
	}
	l.writer.Signal()
	return first, n, nil
}

// passedOver is how often others may have taken the room that somebody waits for. Then it is kept for who waits, or else a
// large message would wait for as long as there are small ones.
const passedOver = 16

// roomLocked waits until there is room for a record. It lets go of the lock meanwhile.
func (l *lane) roomLocked(ctx context.Context, r *Record) error {
	kept := false // for us
	for waits := 0; ; waits++ {
		err := l.clogged()
		switch {
		case l.closed:
			err = errElsewhere
		case err == nil && (kept || !l.kept) && l.room(r):
			l.kept = l.kept && !kept
			return nil
		case err == nil:
			if waits >= passedOver && !l.kept {
				kept, l.kept = true, true
			}
			// Not woken for every single place, which would cost more than the message.
			err = l.awaitLocked(ctx, l.settled+max(1, (l.inFlight()+3)/4))
		}
		if err != nil {
			if kept {
				l.kept = false
				l.waiters.wake(math.MaxUint64) // they may have waited for us alone
			}
			return err
		}
	}
}

// await waits until so many messages are settled, or the lane is dead. It returns the error of ctx if that ends first.
func (l *lane) await(ctx context.Context, count uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.settled < count && !l.dead {
		if err := l.awaitLocked(ctx, count); err != nil {
			return err
		}
	}
	return nil
}

// awaitLocked lets go of the lock until so many messages are settled, something has happened to the lane, or ctx ends.
func (l *lane) awaitLocked(ctx context.Context, until uint64) (err error) {
	w := l.waiters.add(until)
	l.mu.Unlock()
	select {
	case <-w.ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.mu.Lock()
	l.waiters.done(w)
	return err
}

// write is the writer: it takes all that is there of a segment, and writes it without the lock.
func (l *lane) write() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for l.handed == l.count && !l.ended && l.broken == nil {
			l.writer.Wait()
			l.mu.Unlock()
			runtime.Gosched() // those who are just about to publish go with this write, not the next
			l.mu.Lock()
		}
		if l.ended || l.broken != nil {
			return
		}
		idle := l.handed == l.settled
		piece := l.piece()
		if idle {
			l.deadlineLocked()
		}
		l.mu.Unlock()
		n, err := l.wire.Write(piece)
		l.mu.Lock()
		l.wrote(len(piece) - n)
		if err != nil {
			l.breakLocked(err)
		}
		l.settleLocked()
	}
}

// read is the reader. It returns when the connection cannot be read on, cannot be believed, or has been ended.
func (l *lane) read() error {
	var (
		answers [128]answer
		n       int
	)
	for {
		r, err := l.wire.replies.read()
		switch {
		case err != nil:
			err = l.wire.ended(err)
		case r.kind == kindPush: // answers nothing
			l.wire.heed(&r)
		default:
			if answers[n], err = l.answer(&r); err == nil {
				n++
			}
		}
		if err == nil && n < len(answers) && l.more() {
			continue
		}
		if faulty := l.book(answers[:n]); faulty != nil {
			return faulty
		}
		if err != nil {
			return err
		}
		n = 0
	}
}

// answer is what a reply says. Anything that does not answer a PUBLISH is an error.
func (l *lane) answer(r *reply) (answer, error) {
	if r.kind == kindError {
		refused := newError(r.bytes)
		if strings.HasPrefix(refused.Text, "Protocol error") { // such as a message that is too long: it closes behind that
			l.wire.farewell = fmt.Errorf("%w: %s", ErrDismissed, refused.Error()) // in words alone, as in answered
		}
		return answer{refusal: refused}, nil
	}
	published, err := acknowledgement(r)
	switch {
	case err != nil:
		return answer{}, err
	case l.wire.numbered != (r.kind == kindArray) || l.wire.numbered != (published.Number != 0):
		return answer{}, malformed("%q with number %d is no answer to PUBLISH here", r.kind, published.Number)
	}
	return answer{published: published}, nil
}

// more tells whether one more reply is there as a whole, so that those before it may wait for it to be booked together.
func (l *lane) more() bool {
	const longest = 64 // bytes of an array of two integers
	lines := 1
	if l.wire.numbered {
		lines = 3
	}
	there, _ := l.wire.replies.in.Peek(min(l.wire.replies.buffered(), longest)) // which does not read
	return bytes.Count(there, []byte{'\n'}) >= lines
}

// book counts replies, up to the first that cannot be believed.
func (l *lane) book(answers []answer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.settleLocked()
	for _, a := range answers {
		if err := l.answered(a); err != nil {
			return err
		}
	}
	return nil
}

// settleLocked counts what has become settled, and ends the lane when nothing more can.
func (l *lane) settleLocked() {
	if l.settle() {
		l.waiters.wake(l.settled)
		l.deadlineLocked()
	}
	last := l.count
	if l.broken != nil {
		last = l.written
	}
	if l.closed && l.settled == last {
		l.endLocked()
	}
}

// drain closes the lane: what has been taken is still written and waited for, until a moment.
func (l *lane) drain(by time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closeLocked(by)
		l.settleLocked()
	}
}

func (l *lane) closeLocked(by time.Time) {
	l.closed, l.by = true, by
	l.deadlineLocked()
	l.waiters.wake(math.MaxUint64)
}

// breakLocked notes why the connection is of no use any more. What the server has said before that is still read, but
// not for long.
func (l *lane) breakLocked(err error) {
	if l.broken != nil || l.ended {
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrUnanswered
	}
	l.broken = fmt.Errorf("connection %d: %w", l.connection, err)
	l.blame(l.broken)
	if !l.closed {
		l.closeLocked(time.Now().Add(l.grace))
	}
	l.writer.Signal()
}

// endLocked stops reader and writer, wherever they wait.
func (l *lane) endLocked() {
	if l.ended {
		return
	}
	l.ended = true
	_ = l.wire.SetDeadline(time.Unix(1, 0)) // fails only for a socket that is closed, where nobody waits
	l.writer.Signal()
}

// deadlineLocked sets until when the next acknowledgement must come.
func (l *lane) deadlineLocked() {
	var by time.Time
	l.until = time.Time{}
	switch {
	case l.ended:
		return
	case l.closed:
		by = l.by
	case l.silent > 0 && l.handed > l.settled:
		by = time.Now().Add(l.silent)
		l.until = by
	}
	_ = l.wire.SetReadDeadline(by) // as in endLocked
}

// again gives the reader back, once, the time by which it noticed its deadline too late: while the process stood still,
// the acknowledgement may have come.
func (l *lane) again() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.until.IsZero() {
		return false
	}
	late := time.Since(l.until)
	if late <= 0 {
		return false
	}
	l.until = time.Time{}
	_ = l.wire.SetReadDeadline(time.Now().Add(min(late, l.silent))) // as in endLocked
	return true
}

// taken is how many messages the lane has taken.
func (l *lane) taken() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// wait waits until a message is settled or lost, and says which.
func (l *lane) wait(ctx context.Context, count uint64) (Published, error) {
	if taken := l.taken(); count == 0 || count > taken {
		return Published{}, wrong("no message of this publisher")
	}
	if err := l.await(ctx, count); err != nil {
		return Published{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if count > l.settled {
		return Published{}, fmt.Errorf("%w: %w", ErrFateUnknown, l.broken)
	}
	return l.ack(count)
}

// flush waits until all that has been taken is settled, and tells whether something has been refused or lost that
// nobody knows of.
func (l *lane) flush(ctx context.Context) error {
	if err := l.await(ctx, l.taken()); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure()
}

// handBack hands out what was not acknowledged, once. If the lane is closed, it waits for its end.
func (l *lane) handBack() []unacked {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.closed && !l.dead {
		_ = l.awaitLocked(context.Background(), math.MaxUint64) // which does not end
	}
	return l.take()
}

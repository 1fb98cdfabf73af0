package command

import (
	"context"
	"sync"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
)

// wakeUp wakes goroutines that wait for something to change. Any goroutine may use it.
type wakeUp struct {
	mu   sync.Mutex
	next chan struct{} // nil if none waits
}

// wait returns a channel that is closed at the next wake.
func (p *wakeUp) wait() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = make(chan struct{})
	}
	return p.next
}

func (p *wakeUp) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != nil {
		close(p.next)
		p.next = nil
	}
}

// maxEntering is how many readers are between their look at the log and the inbox of the core. What they have, and small appends in the
// inbox, is all that comes in addition to unsynced, however many connections append at once: a full disk keeps space for that.
const maxEntering = 8

// entering admits readers with appends. One that is in it waits for nothing but the inbox, and the evaluation of its predicates.
type entering chan struct{}

func (e entering) leave() { <-e }

// enterLog waits, before appends go to the core, until few enough bytes of the log are unsynced. Plain topics go on meanwhile.
// False means that the connection ends. Otherwise the reader leaves entering once the core has the batch.
func (r *Reader) enterLog() bool {
	s := r.service
	for s.awaitLog(&r.abort) {
		select {
		case s.entering <- struct{}{}:
		default: // done makes a channel, which few need
			select {
			case s.entering <- struct{}{}:
			case <-r.abort.done():
				return false
			case <-s.core.Stopped():
				return false
			}
		}
		if store := s.streams.store; store == nil || !s.isLogBehind(store) {
			return true
		}
		s.entering.leave() // others have filled the log meanwhile
	}
	return false
}

// awaitLog is that of a publisher that ends when by is raised.
func (s *Service) awaitLog(by *abortSignal) bool {
	store := s.streams.store
	for store != nil && s.isLogBehind(store) {
		synced := s.syncs.wait()
		if !s.isLogBehind(store) { // the wake may have come before
			return true
		}
		select {
		case <-synced:
		case <-by.done():
			return false
		case <-s.core.Stopped():
			return false
		}
	}
	return true
}

// isLogBehind reports whether appends wait: more than unsynced is not safe yet, or will be once the core has the large appends in front of
// it. A log that has failed lets all go on, to their errors.
func (s *Service) isLogBehind(store Store) bool {
	return store.Unsynced()+s.largeAppends.Load() > s.options.Unsynced && store.Failed() == nil
}

// countAppend counts a batch with appends that is on its way to the core, if it is large.
func (r *Reader) countAppend(b *Batch) {
	size := b.buf.Size()
	if len(b.Requests) == 1 && b.Requests[0].Op == broker.Exec {
		size = r.usage.queued.Load()
	}
	if size > int64(outbox.LargeBuffers.BufferSize) {
		b.appending = size
		r.service.largeAppends.Add(size)
	}
}

// appended ends that: the core has applied the batch. Those that wait for the log look again, since the batch may have failed.
func (s *Service) appended(b *Batch) {
	if b.appending > 0 {
		s.largeAppends.Add(-b.appending)
		b.appending = 0
		s.syncs.wake()
	}
}

// awaitReplies waits until nothing in the outbox of a connection that has left waits for the log or for a place, but no longer
// than until the deadline. Only then does no new writer start.
func (r *Reader) awaitReplies(deadline time.Time) {
	x := r.streamClient.Load()
	if x == nil {
		return
	}
	b, f := &r.service.barriers, x.filler.Load()
	released := b.await(x)
	if released == nil && f == nil {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if released != nil {
		select {
		case <-released:
		case <-r.service.core.Stopped():
		case <-ctx.Done():
		}
		b.remove(r.Conn)
	}
	if f != nil {
		f.finish(ctx.Done())
	}
}

// finish waits until all places are filled, or until the time is up.
func (f *filler) finish(timeout <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		f.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-timeout:
	case <-f.conn.service.core.Stopped():
	}
	f.stopping.raise()
	<-done
}

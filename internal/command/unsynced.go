package command

import (
	"context"
	"sync"
	"time"
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

// maxEntering is how many readers are between their look at the log and the inbox of the core. What they and the inbox have is all that
// comes in addition to unsynced, however many connections append at once: a full disk keeps space for that.
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
		if store := s.streams.store; store == nil || store.Unsynced() <= s.options.Unsynced || store.Failed() != nil {
			return true
		}
		s.entering.leave() // others have filled the log meanwhile
	}
	return false
}

// awaitLog is that of a publisher that ends when by is raised.
func (s *Service) awaitLog(by *abortSignal) bool {
	store, most := s.streams.store, s.options.Unsynced
	for store != nil && store.Unsynced() > most && store.Failed() == nil {
		synced := s.syncs.wait()
		if store.Unsynced() <= most { // the wake may have come before
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

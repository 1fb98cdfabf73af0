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

// awaitLog waits, before appends go to the core, until few enough bytes of the log are unsynced. Plain topics go on meanwhile.
// False means that the connection ends.
func (r *Reader) awaitLog() bool { return r.service.awaitLog(&r.abort) }

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

package command

import (
	"math"
	"slices"
	"sync"

	"github.com/conchmq/conch/broker"
)

// barriers are the connections with frames that wait for a record. The core adds them; the log resumes them, without a visit to
// the core: under load that would be another wait for each group.
type barriers struct {
	mu     sync.Mutex // guards what follows, and barrier and released of each connection
	conns  []*Conn
	failed bool // the log releases nothing more
}

// add notes the newest record that frames of a connection wait for. It comes before the frames are in the outbox, so that no
// release is missed. It returns false if none will come. The core calls it.
func (b *barriers) add(c *Conn, record uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed {
		return false
	}
	x := c.usesStreams()
	if x.barrier == 0 {
		b.conns = append(b.conns, c)
	}
	x.barrier = record
	return true
}

// release starts the writers of connections that have waited for records up to this one.
func (b *barriers) release(record uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting := b.conns[:0]
	for _, c := range b.conns {
		if c.outbox.Resume() {
			c.transport.StartWriter()
		}
		if x := c.streamClient.Load(); x.barrier <= record {
			x.endBarrierLocked()
		} else {
			waiting = append(waiting, c)
		}
	}
	clear(b.conns[len(waiting):])
	b.conns = waiting
}

// fail removes and returns all connections that wait.
func (b *barriers) fail() []*Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = true
	all := b.conns
	for _, c := range all {
		c.streamClient.Load().endBarrierLocked()
	}
	b.conns = nil
	return all
}

// remove takes a connection out. No writer is started for it afterwards.
func (b *barriers) remove(c *Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.conns, c); i >= 0 {
		b.conns = slices.Delete(b.conns, i, i+1)
		c.streamClient.Load().endBarrierLocked()
	}
}

// await returns a channel that is closed when no frame of a connection waits any more, nil if none does.
func (b *barriers) await(x *streamClient) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x.barrier == 0 {
		return nil
	}
	if x.released == nil {
		x.released = make(chan struct{})
	}
	return x.released
}

func (x *streamClient) endBarrierLocked() {
	x.barrier = 0
	if x.released != nil {
		close(x.released)
		x.released = nil
	}
}

// Synced makes replies that wait for records up to promised leave; those up to synced are on disk. failed is the failure of the
// log, nil while there is none: the connections that wait then end, since what they wait for never comes. One goroutine calls it
// at a time, and not the core's.
func (s *Service) Synced(promised, synced uint64, failed error) {
	if promised > s.Counts.messages.Released.Load() {
		s.Counts.messages.Released.Store(promised)
	}
	s.barriers.release(promised)
	s.streams.synced.Store(synced)
	if failed != nil {
		s.runOnCore(func(v broker.View) {
			for _, c := range s.barriers.fail() {
				v.Evict(&c.sub, CloseReasonLog)
			}
		})
	}
	if failed != nil {
		synced = math.MaxUint64 // what is waited for never comes
	}
	if s.streams.blocked.awaitingSync.Load() > 0 {
		s.runOnCore(func(v broker.View) { s.streams.blocked.synced(v, synced) })
	}
	s.syncs.wake()
}

package cluster

import (
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// announcer sends the other nodes at once what is committed. raft alone would add it to the next entries, which the other node has to
// sync before it looks at that, or send it up to 100 ms later.
//
// An announcement is an AppendEntries without entries, behind the last committed one. A node ignores it if it lacks that one, or if the term
// is over. It takes a connection of its own, and may get lost: marks and raft's own requests have the same.
type announcer struct {
	committed atomic.Uint64 // the last index that is committed and on this node's disk
	runs      sync.WaitGroup

	mu  sync.Mutex
	all map[*pipeline]struct{} // of the followers, while this node leads
}

func newAnnouncer() *announcer { return &announcer{all: map[*pipeline]struct{}{}} }

// announce has followers sent up to which index entries are committed. It never blocks.
func (a *announcer) announce(index uint64) {
	a.committed.Store(index)
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := range a.all {
		p.signal()
	}
}

func (a *announcer) add(p *pipeline) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all[p] = struct{}{}
	a.runs.Go(p.announce)
}

func (a *announcer) remove(p *pipeline) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, p)
}

// follower is what the leader knows of a node that it has a pipeline to.
type follower struct {
	id      raft.ServerID
	address raft.ServerAddress
	header  atomic.Pointer[raft.AppendEntriesRequest] // the term and the sender of all requests; nil before the first
	stored  atomic.Uint64                             // the last index that the follower has
	known   atomic.Uint64                             // up to which index it was sent what is committed
	news    chan struct{}                             // of capacity 1: one of the others has changed
}

func (f *follower) signal() { signal(f.news) }

// sent notes a request that was sent over the pipeline.
func (f *follower) sent(r *raft.AppendEntriesRequest) {
	if f.header.Load() == nil {
		f.header.Store(&raft.AppendEntriesRequest{RPCHeader: r.RPCHeader, Term: r.Term})
	}
	raise(&f.known, min(r.LeaderCommitIndex, lastOf(r)))
}

// answered notes the answer to a request that was sent over the pipeline.
func (f *follower) answered(answer raft.AppendFuture) {
	if answer.Error() == nil && answer.Response().Success {
		raise(&f.stored, lastOf(answer.Request()))
		f.signal()
	}
}

// lastOf is the last index that a node has which accepts a request.
func lastOf(r *raft.AppendEntriesRequest) uint64 { return r.PrevLogEntry + uint64(len(r.Entries)) }

func raise(v *atomic.Uint64, to uint64) {
	for old := v.Load(); old < to && !v.CompareAndSwap(old, to); old = v.Load() {
	}
}

// announce sends announcements until the pipeline is closed, or one fails: then the pipeline is about to. It is a goroutine.
func (p *pipeline) announce() {
	for {
		select {
		case <-p.closed:
			return
		case <-p.news:
		}
		if p.sendAnnouncement() != nil {
			return
		}
	}
}

// sendAnnouncement sends what is committed, as far as the follower has it and was not sent that.
func (p *pipeline) sendAnnouncement() error {
	index, request := min(p.announcer.committed.Load(), p.stored.Load()), p.header.Load()
	if request == nil || index <= p.known.Load() {
		return nil
	}
	var last raft.Log
	if p.store.GetLog(index, &last) != nil {
		return nil // a snapshot has it: raft's own requests are enough
	}
	raise(&p.known, index)
	announcement := *request
	announcement.PrevLogEntry, announcement.PrevLogTerm, announcement.LeaderCommitIndex = index, last.Term, index
	return p.NetworkTransport.AppendEntries(p.id, p.address, &announcement, new(raft.AppendEntriesResponse)) //nolint:wrapcheck // it ends here
}

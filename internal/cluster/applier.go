package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// applier is raft's state machine: it gives what is committed to the machine. raft calls it from one goroutine.
type applier struct {
	node *Node

	mu       sync.Mutex // of what others read
	state    State
	recent   ring[mark] // the chain at the last indices, to compare with marks
	differs  bool
	unmarked bool // entries were applied behind the last mark

	applied chan struct{} // of capacity 1, for the marker
}

// ApplyBatch applies entries that were committed together.
func (a *applier) ApplyBatch(logs []*raft.Log) []any {
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			a.apply(l)
		}
	}
	select {
	case a.applied <- struct{}{}:
	default:
	}
	return make([]any, len(logs))
}

// Apply is raft's for one entry.
func (a *applier) Apply(l *raft.Log) any { return a.ApplyBatch([]*raft.Log{l})[0] }

func (a *applier) apply(l *raft.Log) {
	a.mu.Lock()
	skip := a.differs || l.Index <= a.state.Index // it is in the state that was saved, or that another node has sent
	a.mu.Unlock()
	if skip {
		return
	}
	if len(l.Data) > 0 && l.Data[0] == kindMark {
		a.compare(l)
		return
	}
	p, err := decodeProposed(l.Data)
	if err != nil {
		a.node.fail(err)
		return
	}
	a.mu.Lock()
	ok, gap := a.state.accepts(p)
	a.mu.Unlock()
	if gap && p.origin == a.node.options.Name {
		a.node.proposals.again()
	}
	var token any
	if ok && p.origin == a.node.options.Name {
		token = a.node.proposals.take(p)
	}
	a.finish(l, p, ok, token)
}

// finish applies an entry, or skips it, and goes on to its index.
func (a *applier) finish(l *raft.Log, p proposed, ok bool, token any) {
	after := a.state // this goroutine alone changes it
	after.Index, after.entry = l.Index, l.Data
	if ok {
		a.node.options.Machine.Apply(Entry{Index: l.Index, Origin: p.origin, Time: p.time, Body: p.body, Token: token}, &after)
	}
	if after.entry != nil {
		after.Digest(0)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = after
	a.recent.add(mark{l.Index, after.Chain})
	a.unmarked = true
}

// compare compares the chain at a mark with the leader's there.
func (a *applier) compare(l *raft.Log) {
	m, err := decodeMark(l.Data)
	if err != nil {
		a.node.fail(err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Index = l.Index
	a.unmarked = false
	if own, ok := a.recent.find(func(r mark) bool { return r.index == m.index }); ok && own.chain != m.chain {
		a.differs = true
		a.node.options.Machine.Differs(m.index)
	}
}

// Snapshot begins to save the state, so that the log may lose what is before it.
func (a *applier) Snapshot() (raft.FSMSnapshot, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return saving{a.node, a.state.Index}, nil
}

// saving is a snapshot that is made.
type saving struct {
	node  *Node
	index uint64
}

func (s saving) Persist(to raft.SnapshotSink) error {
	err := s.node.options.Machine.WaitSaved(s.index)
	if err == nil {
		_, err = io.WriteString(to, snapshotData)
	}
	if err != nil {
		return errors.Join(err, to.Cancel())
	}
	return to.Close()
}

func (s saving) Release() {}

// Restore gets the state from the leader: the log no longer has what this node lacks.
func (a *applier) Restore(r io.ReadCloser) error {
	_ = r.Close() // its content is always the same
	leader, ok := a.node.leader()
	if !ok || leader.Name == a.node.options.Name {
		return ErrNoLeader
	}
	c, err := a.node.dial(a.node.ctx, leader, carriesState)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(a.node.ctx, func() { _ = c.Close() })
	defer stop()
	state, err := a.node.options.Machine.Receive(idle{c, a.node.options.Timeout * 15})
	if err = errors.Join(err, c.Close()); err != nil {
		return fmt.Errorf("the state of %s: %w", leader.Name, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state, a.recent = state, ring[mark]{}
	return nil
}

// sendState sends the whole state to a node that lacks it.
func (n *Node) sendState(c interface {
	io.Writer
	SetDeadline(time.Time) error
},
) error {
	return n.options.Machine.Send(idleWriter{c, n.options.Timeout * 15})
}

// runMarker sends a mark behind what was committed, if this node leads and nothing follows by itself.
func (n *Node) runMarker() {
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.applier.applied:
		}
		n.applier.mu.Lock()
		m, unmarked := mark{n.applier.state.Index, n.applier.state.Chain}, n.applier.unmarked
		n.applier.mu.Unlock()
		if unmarked && n.raft.State() == raft.Leader && n.raft.LastIndex() <= n.raft.AppliedIndex() {
			n.raft.Apply(m.encode(), 0)
		}
	}
}

// ring has the last values.
type ring[T any] struct {
	values [1024]T
	n      int
}

func (r *ring[T]) add(v T) {
	r.values[r.n%len(r.values)] = v
	r.n++
}

// find returns the newest value that fits.
func (r *ring[T]) find(fits func(T) bool) (v T, ok bool) {
	for i := range min(r.n, len(r.values)) {
		if v = r.values[(r.n-1-i)%len(r.values)]; fits(v) {
			return v, true
		}
	}
	return *new(T), false
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"
)

// Snapshot begins to save the state, so that the log may lose what is before it.
func (a *applier) Snapshot() (raft.FSMSnapshot, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped || a.lacks {
		return nil, errStopped // the log has what the state lacks
	}
	if a.state.Index < a.named {
		return nil, raft.ErrNothingNewToSnapshot // a state without the cluster's number: the node that gets it would draw another
	}
	return saving{a.node, a.state.Index}, nil
}

var errStopped = errors.New("the state is of no use")

// saving is a snapshot that is made.
type saving struct {
	node  *Node
	index uint64
}

func (s saving) Persist(to raft.SnapshotSink) error {
	err := s.node.options.Machine.WaitSaved(s.index)
	if err == nil {
		_, err = fmt.Fprint(to, s.index)
	}
	if err != nil {
		return errors.Join(err, to.Cancel())
	}
	return to.Close()
}

func (s saving) Release() {}

// Restore is raft's for a snapshot of the leader, which this node takes once it has the state: see has.
func (a *applier) Restore(r io.ReadCloser) error { return r.Close() }

// has returns nil if the state is of an index at least. If not, the leader's snapshot is refused while the state comes, and the leader tries again.
// Until then this node's log stays as it is, and raft counts the node as one that is behind: it takes part in no majority by what it lacks.
func (a *applier) has(index uint64) error {
	if a.appliedIndex() >= index {
		return nil
	}
	if a.need(index) {
		a.node.runs.Go(a.fetchInTurn)
	}
	return errComing
}

var errComing = errors.New("the state is on its way")

// fetch gets the state from the leader, or else from another member.
func (a *applier) fetch() error {
	err := ErrNoLeader
	for _, m := range a.node.sources() {
		if err = a.fetchFrom(m); err == nil || a.node.ctx.Err() != nil {
			return err
		}
		a.node.report(err)
	}
	return err
}

// sources are the other members, the leader first. It is not the only one: raft waits for entries to be applied before it can vote, and these wait
// for the state. If the leader is gone, this vote may be needed for the next one.
//
// A new node knows no members before it takes the leader's snapshot.
func (n *Node) sources() (all []Member) {
	leader, ok := n.leader()
	if ok && leader.Name != n.options.Name {
		all = append(all, leader)
	}
	for _, m := range n.Members() {
		if m.Name != n.options.Name && m.Name != leader.Name {
			all = append(all, m)
		}
	}
	return all
}

func (a *applier) fetchFrom(source Member) error {
	c, err := a.node.dial(a.node.ctx, source, carriesState)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(a.node.ctx, func() { _ = c.Close() })
	defer stop()
	state, err := a.node.options.Machine.Receive(idle{c, a.node.options.Timeout * 15}, a.neededIndex())
	if err = errors.Join(err, c.Close()); err != nil {
		return fmt.Errorf("the state of %s: %w", source.Name, err)
	}
	switch known := a.cluster(); state.cluster {
	case known:
	case 0: // it is of before the number, which the log has
		state.cluster = known
	default:
		a.node.keepCluster(state.cluster)
	}
	a.begin(state)
	a.mu.Lock()
	a.replaced = true
	a.mu.Unlock()
	return state.CheckAge(a.neededIndex()) // more may be needed by now
}

// fetchInTurn gets the state that is lacking, on a goroutine that applies no entries.
func (a *applier) fetchInTurn() {
	select {
	case a.turn <- struct{}{}:
		a.fetchLacking()
		<-a.turn
	case <-a.node.ctx.Done():
	}
}

// fetchLacking waits until the state is there that is needed. The caller holds the turn. A node that leads gives that up: only others have the state.
func (a *applier) fetchLacking() {
	for a.isLacking() && a.node.ctx.Err() == nil {
		if a.node.Leads() {
			_ = a.node.Transfer("") // it is tried again
		} else if a.fetch() == nil {
			return
		}
		select {
		case <-a.node.ctx.Done():
		case <-time.After(a.node.options.Election):
		}
	}
}

// isUseless reports whether the state is not to be sent: it lacks something, or differs.
func (a *applier) isUseless() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stopped || a.lacks
}

func (a *applier) isLacking() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lacks
}

// sendState sends the whole state to a node that lacks it. It ends the connection if the own state is of no use.
func (n *Node) sendState(c interface {
	io.Writer
	SetDeadline(time.Time) error
},
) error {
	if n.applier.isUseless() {
		return errStopped
	}
	n.states.add(1)
	defer n.states.add(-1)
	return n.options.Machine.Send(idleWriter{c, n.options.Timeout * 15})
}

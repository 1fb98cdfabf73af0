package cluster

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// away are the nodes that did not answer the last request of this leader. raft tries to send entries to such a node less and less often, with
// pauses of up to 10 s, so a node that came back would lack them that long. Here they wait for the next answer to a heartbeat, and raft counts one
// failure: heartbeats go on at least twice in an election's time.
type away struct {
	mu  sync.Mutex
	all map[raft.ServerID]chan struct{} // closed once the node answers
}

// note notes whether a node has answered.
func (a *away) note(id raft.ServerID, answers bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	back, is := a.all[id]
	switch {
	case answers && is:
		close(back)
		delete(a.all, id)
	case !answers && !is:
		a.all[id] = make(chan struct{})
	}
}

// back returns what is closed once a node answers, or nil if it does.
func (a *away) back(id raft.ServerID) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[id]
}

// errOld is of a request that has waited: raft makes a new one.
var errOld = errors.New("not sent: the node was away since the request was made")

// waitBack fails once a node that is away answers, or once this node leads it no more in a term: raft goes on with heartbeats until a request
// has ended. A transfer of the leadership needs each attempt, because raft takes no proposals until it has ended.
func (t transport) waitBack(id raft.ServerID, term uint64) error {
	back := t.away.back(id)
	if back == nil || len(t.node.transfers) > 0 {
		return nil
	}
	look := time.NewTicker(t.node.options.Election / 5)
	defer look.Stop()
	for {
		select {
		case <-back:
			return errOld
		case <-t.node.ctx.Done():
			return errOld
		case <-look.C:
		}
		if !t.node.leadsIn(id, term) {
			return errOld
		}
		if len(t.node.transfers) > 0 {
			return nil
		}
	}
}

// leadsIn reports whether this node leads another one in a term.
func (n *Node) leadsIn(id raft.ServerID, term uint64) bool {
	r := n.store.raft.Load()
	if r == nil || r.State() != raft.Leader || r.CurrentTerm() != term {
		return false
	}
	_, err := n.member(string(id))
	return err == nil
}

// AppendEntries sends entries to another node, or a heartbeat.
func (t transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if !isHeartbeat(args) {
		if err := t.waitBack(id, args.Term); err != nil {
			return err
		}
		args.LeaderCommitIndex = t.store.announced(args.LeaderCommitIndex)
	}
	err := t.NetworkTransport.AppendEntries(id, target, args, resp)
	t.away.note(id, err == nil)
	return err //nolint:wrapcheck // raft compares it
}

// InstallSnapshot sends a snapshot to another node, again and again while the state comes there. raft itself would pause for up to 10 s before it
// tries again, and the node would be behind for as long.
func (t transport) InstallSnapshot(
	id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader,
) error {
	if err := t.waitBack(id, args.Term); err != nil {
		return err
	}
	content, err := io.ReadAll(data) // a number
	if err != nil {
		return err
	}
	for {
		err = t.NetworkTransport.InstallSnapshot(id, target, args, resp, bytes.NewReader(content))
		if err == nil || err.Error() != errComing.Error() || len(t.node.transfers) > 0 || !t.node.leadsIn(id, args.Term) {
			return err //nolint:wrapcheck // raft compares it
		}
		select {
		case <-time.After(t.node.options.Election / redials):
		case <-t.node.ctx.Done():
			return err //nolint:wrapcheck // raft compares it
		}
	}
}

// isHeartbeat reports whether a request is one of those that raft's transport answers beside all others.
func isHeartbeat(r *raft.AppendEntriesRequest) bool {
	return r.PrevLogEntry == 0 && r.LeaderCommitIndex == 0 && len(r.Entries) == 0
}

package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/command"
)

// What follows implements [cluster.Machine].

// Apply applies an entry on the core, and waits for that.
func (n *Node) Apply(e cluster.Entry, state *cluster.State) error {
	select {
	case <-n.received: // the state of another node is used after a new start
		for _, p := range e.Parts {
			n.Lost(p.Token, errReceived)
		}
		<-n.closing
		return nil
	default:
	}
	back, isAttempt := e.Parts[0].Token.(attempt) // it is alone
	parts := make([]command.OrderedPart, len(e.Parts))
	for i, p := range e.Parts {
		if parts[i].Body = p.Body; !isAttempt {
			parts[i].Token = p.Token
		}
	}
	err := n.applier.Apply(&command.OrderedEntry{
		Time: e.Time / int64(time.Millisecond), Parts: parts,
		Finish: func(digest uint64) []byte {
			state.Digest(digest)
			n.full.Store(!n.options.Store.Room(0))
			return state.Append(nil)
		},
	})
	if err != nil && isAttempt {
		back <- err
	}
	switch {
	case errors.Is(err, command.ErrOtherBase):
		return cluster.ErrStateNeeded
	case err != nil:
		n.fail(fmt.Errorf("entry %d of the cluster cannot be applied: %w", e.Index, err))
		return err
	}
	if isAttempt {
		back <- nil
	}
	return nil
}

// Lost passes on that a proposal was given up.
func (n *Node) Lost(token any, err error) {
	if back, ok := token.(attempt); ok {
		back <- err
		return
	}
	n.applier.Lost(token, err)
}

// WaitSaved saves up to which entry the streams go, and syncs that.
func (n *Node) WaitSaved(uint64) error {
	if _, ok := n.applier.SaveClusterState(); !ok {
		return errStopped
	}
	return n.options.Store.Sync()
}

var errReceived = errors.New("the outcome is unknown: this node starts again with the state of another")

var errStopped = errors.New("the core has stopped")

// Differs ends the node: what it has done since the nodes parted is not known.
func (n *Node) Differs(index uint64) {
	n.fail(fmt.Errorf("this node's state differs from that of the other nodes at entry %d: remove the node, and add it anew with an empty directory", index))
}

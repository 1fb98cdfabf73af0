package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// transferPause is how long no transfer follows one that failed. raft takes no proposals as long as one is under way. A second one waits, without
// an end, until the replication to its target has taken the first out of a queue of one; between two attempts that pauses for 10 s at most.
const transferPause = 20 * time.Second

// ErrNoOther is of a transfer when no other node has a vote.
var ErrNoOther = errors.New("no other node has a vote; NODE ADD and NODE PROMOTE give one")

// Transfer makes another voter lead, any if no name is given.
func (n *Node) Transfer(name string) error {
	select {
	case n.transfers <- struct{}{}:
		defer func() { <-n.transfers }()
	case <-n.ctx.Done():
	}
	if n.ctx.Err() != nil || n.raft.State() == raft.Shutdown { // raft would keep the request in its queue, without an answer
		return ErrClosed
	}
	if wait := transferPause - time.Since(n.transferFailed); !n.transferFailed.IsZero() && wait > 0 {
		return fmt.Errorf("the last transfer failed; the next one is possible in %v", wait.Round(time.Second))
	}
	return n.transfer(name)
}

// Retire hands the leadership over, if this node leads, to one that is not about to stop, as this one is. It returns ErrNoOther if there is none.
func (n *Node) Retire() error {
	n.retires.Store(true)
	if !n.Leads() {
		return nil
	}
	to := n.successor()
	if to == "" {
		return ErrNoOther
	}
	err := n.Transfer(to)
	if err != nil && n.Leads() && n.successor() == "" { // it has stopped meanwhile
		return ErrNoOther
	}
	return err
}

// successor is the voter that has most of the log, of those that answer and are not about to stop; "" if there is none.
func (n *Node) successor() (name string) {
	var requests sync.WaitGroup
	var mu sync.Mutex
	last := uint64(0)
	for _, m := range n.Members() {
		if !m.Voter || m.Name == n.options.Name {
			continue
		}
		requests.Go(func() {
			s, err := n.statusAt(m)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && !s.Retires && (name == "" || s.Last > last) {
				name, last = m.Name, s.Last
			}
		})
	}
	requests.Wait()
	return name
}

// transfer is Transfer for the goroutine that holds transfers.
func (n *Node) transfer(name string) error {
	f := n.raft.LeadershipTransfer
	if voters := n.voters(); name == "" && len(voters) == 1 && voters[0] == n.options.Name {
		return ErrNoOther
	}
	if name != "" {
		m, err := n.member(name)
		if err == nil && n.Leads() {
			err = n.probe(m)
		}
		if err != nil {
			return err
		}
		f = func() raft.Future { return n.raft.LeadershipTransferToServer(raft.ServerID(name), serverAddress(m)) }
	}
	err := n.change(f())
	if err != nil && n.Leads() {
		n.transferFailed = time.Now()
	}
	return err
}

// probe makes sure that a node is there.
func (n *Node) probe(m Member) error {
	if m.Name == n.options.Name {
		return fmt.Errorf("%s leads already", m.Name)
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.options.Election)
	defer cancel()
	c, err := n.dial(ctx, m, carriesProposals)
	if err != nil {
		return fmt.Errorf("no transfer: %w", err)
	}
	return c.Close()
}

// resign makes a node that applies nothing more hand the leadership over, and take no part in elections.
func (n *Node) resign() {
	if n.Leads() {
		_ = n.Transfer("") // else the others elect one when they miss this node
	}
	select {
	case n.transfers <- struct{}{}: // one that is under way would never end
		n.shutdown()
		<-n.transfers
	case <-n.ctx.Done():
	}
}

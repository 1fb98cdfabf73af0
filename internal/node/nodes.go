package node

import (
	"fmt"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/command"
)

// What follows implements [command.Nodes].

// NodeStatus is how this node sees its cluster; it has its name alone before Start.
func (n *Node) NodeStatus() command.NodeStatus {
	c := n.cluster.Load()
	if c == nil {
		return command.NodeStatus{Name: n.options.Cluster.Name}
	}
	s := c.Status()
	status := command.NodeStatus{
		Name: s.Name, Cluster: s.Cluster, Role: s.Role, Leader: s.Leader, Term: s.Term, Committed: s.Committed, Applied: s.Applied, Last: s.Last,
		Waiting: s.Waiting, WaitingBytes: s.WaitingBytes,
	}
	voters, answer, ok := 0, 0, true
	for _, p := range c.Peers() {
		if p.Voter {
			voters++
			if p.State != cluster.PeerAway && p.State != cluster.PeerUnknown {
				answer++
			}
		}
		ok = ok && p.State == cluster.PeerOK
		status.Members = append(status.Members, member(&p, &s))
	}
	status.Majority = s.Leader != "" && answer > voters/2 && s.Role != cluster.RoleRemoved
	status.Healthy = status.Majority && ok
	return status
}

// member is a member as the status s of this node shows it.
func member(p *cluster.Peer, s *cluster.Status) command.ClusterMember {
	role := p.Status.Role
	if role == "leader" && p.Name != s.Leader { // another one leads by now
		role = ""
	}
	return command.ClusterMember{
		Name: p.Name, Address: p.Address, Voter: p.Voter, Role: role, State: string(p.State), LagEntries: p.LagEntries, LagBytes: p.LagBytes,
		Link: p.Link, ClockAhead: p.Ahead, Snapshot: p.Status.Snapshot, SnapshotTime: p.Status.SnapshotTime, Err: p.Err,
	}
}

// AddNode makes a node a member without a vote.
func (n *Node) AddNode(name, address string) error {
	return n.Cluster().Add(cluster.Member{Name: name, Address: address})
}

// RemoveNode ends a node's membership. Its address is forgotten; without a majority by then, that of a later node of its name takes its place.
func (n *Node) RemoveNode(name string) error {
	if err := n.Cluster().Remove(name); err != nil {
		return err
	}
	if err := n.change(n.service.NoAddressBody(name)); err != nil {
		n.report(fmt.Errorf("the address of %s is still kept: %w", name, err))
	}
	return nil
}

// PromoteNode gives a node a vote.
func (n *Node) PromoteNode(name string) error { return n.Cluster().Promote(name) }

// TransferTo makes another node lead.
func (n *Node) TransferTo(name string) error { return n.Cluster().Transfer(name) }

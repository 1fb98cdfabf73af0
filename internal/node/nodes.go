package node

import (
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
	for _, m := range c.Members() {
		status.Members = append(status.Members, command.ClusterMember(m))
	}
	return status
}

// AddNode makes a node a member without a vote.
func (n *Node) AddNode(name, address string) error {
	return n.Cluster().Add(cluster.Member{Name: name, Address: address})
}

// RemoveNode ends a node's membership.
func (n *Node) RemoveNode(name string) error { return n.Cluster().Remove(name) }

// PromoteNode gives a node a vote.
func (n *Node) PromoteNode(name string) error { return n.Cluster().Promote(name) }

// TransferTo makes another node lead.
func (n *Node) TransferTo(name string) error { return n.Cluster().Transfer(name) }

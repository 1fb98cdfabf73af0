package cluster

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"
)

// Add makes a node a member that gets all entries and has no vote, which Promote gives it. A new one has empty directories and no bootstrap, and may
// start later. A member is moved to another address, at which it runs by then. This node must lead.
func (n *Node) Add(m Member) error {
	if !validName.MatchString(m.Name) {
		return fmt.Errorf("%q is not a name of a node: 1 to 64 letters, digits, dots, dashes and underscores", m.Name)
	}
	if err := n.options.Network.Check(m.Address); err != nil {
		return err
	}
	for _, other := range n.Members() {
		if other.Address == m.Address && other.Name != m.Name {
			return fmt.Errorf("%s is at %s: each node needs an address of its own", other.Name, m.Address)
		}
	}
	if n.Leads() {
		if err := n.checkAt(m); err != nil {
			return err
		}
	}
	return n.changeVoters(n.raft.AddNonvoter(raft.ServerID(m.Name), serverAddress(m), 0, n.options.Timeout))
}

// Promote gives a member a vote that has what this node has, which must lead.
func (n *Node) Promote(name string) error {
	m, err := n.member(name)
	if err != nil {
		return err
	}
	if n.Leads() && !m.Voter && !n.options.without.caughtUp {
		if err := n.checkCaughtUp(m); err != nil {
			return err
		}
	}
	return n.changeVoters(n.raft.AddVoter(raft.ServerID(name), serverAddress(m), 0, n.options.Timeout))
}

// Remove ends a node's membership. What it was sent it keeps. A leader does not remove itself: if it then ended, it would have the longest log and
// no vote, and the other voters might find no leader among them.
func (n *Node) Remove(name string) error {
	if _, err := n.member(name); err != nil {
		return err
	}
	if name == n.options.Name && n.Leads() {
		return fmt.Errorf("%s leads: make another node lead by NODE TRANSFER, and send NODE REMOVE to that one", name)
	}
	return n.changeVoters(n.raft.RemoveServer(raft.ServerID(name), 0, n.options.Timeout))
}

func (n *Node) changeVoters(f raft.Future) error {
	err := n.change(f)
	if err == nil {
		n.warnOfVoters()
	}
	return err
}

// voters returns the names of the members that vote, as far as this node knows.
func (n *Node) voters() (names []string) {
	for _, m := range n.Members() {
		if m.Voter {
			names = append(names, m.Name)
		}
	}
	return names
}

func (n *Node) isVoter() bool { return slices.Contains(n.voters(), n.options.Name) }

// warnOfVoters reports an even number of voters, which survives the loss of no more nodes than the odd one below it.
func (n *Node) warnOfVoters() {
	voters := len(n.voters())
	if voters%2 == 0 && voters > 0 {
		n.report(fmt.Errorf("%d nodes vote: the cluster goes on without %d of them, as it would with %d voters; promote one or remove one", voters, (voters-1)/2, voters-1))
	}
}

func (n *Node) change(f raft.Future) error {
	err := f.Error()
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) {
		if leader, ok := n.leader(); ok {
			return fmt.Errorf("this node does not lead; send it to %s at %s", leader.Name, leader.Address)
		}
		return ErrNoLeader
	}
	return err
}

func (n *Node) member(name string) (Member, error) {
	for _, m := range n.Members() {
		if m.Name == name {
			return m, nil
		}
	}
	return Member{}, fmt.Errorf("no node is named %q; NODE LIST has them", name)
}

// Members are the nodes of the cluster, as far as this one knows.
func (n *Node) Members() (all []Member) {
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	for _, s := range f.Configuration().Servers {
		m := memberAt(s.Address)
		m.Voter = s.Suffrage == raft.Voter
		all = append(all, m)
	}
	return all
}

// Leads reports whether this node leads.
func (n *Node) Leads() bool { return n.raft.State() == raft.Leader }

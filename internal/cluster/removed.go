package cluster

// removedWord is in front of the answer to a node that is no member.
const removedWord = "REMOVED"

// noMember is why a leader refuses a node that is no member of its cluster.
type noMember struct{ name string }

func (e *noMember) Error() string {
	return e.name + " is no member of this cluster: it was removed, or not added yet; add it with NODE ADD"
}

// remover returns the leader that refused this node as removed, or "". The node's own log is no proof: it may lack the entry that removes the node, or
// one behind it that adds it again.
func (n *Node) remover() string {
	by := n.removedBy.Load()
	if by == nil || n.applier.cluster() == 0 || n.Leads() { // one of no cluster was not added yet
		return ""
	}
	return *by
}

// Removed reports whether this node was a member of its cluster, and is none any more.
func (n *Node) Removed() bool { return n.remover() != "" }

package command

import (
	"fmt"

	"github.com/conchmq/conch/protocol"
)

// Nodes are the members of a cluster, this node among them. Any goroutine but the core's may call what changes them: it waits for a
// majority. The others do not wait.
type Nodes interface {
	NodeStatus() NodeStatus
	AddNode(name, address string) error
	RemoveNode(name string) error
	PromoteNode(name string) error
	// TransferTo makes another node lead; any, if no name is given.
	TransferTo(name string) error
}

// NodeStatus is how a node sees its cluster.
type NodeStatus struct {
	Name    string // of this node
	Cluster string // the cluster's number, empty if it is not known yet
	Role    string // leader, follower or candidate
	Leader  string // empty if none is known
	Term    uint64
	// Committed, Applied and Last are indices of the cluster's log: what a majority has, what has taken effect here, and what is here.
	Committed, Applied, Last uint64
	// Waiting are proposals of this node that are not committed, WaitingBytes their size.
	Waiting, WaitingBytes int
	Members               []ClusterMember
}

// ClusterMember is a node of a cluster.
type ClusterMember struct {
	Name, Address string
	Voter         bool
}

// clusterNodes returns the nodes; else it has replied with an error.
func (w *response) clusterNodes() Nodes {
	n := w.executor.service.options.Nodes
	if n == nil {
		w.fail(protocol.Errorf("this conch runs alone; start it with --cluster-name to make it a node of a cluster"))
	}
	return n
}

// nodeList is NODE LIST: a map for each member, or rows for a person at a terminal.
func nodeList(w *response) {
	n := w.clusterNodes()
	if n == nil {
		return
	}
	s := n.NodeStatus()
	if w.isTyped() {
		for _, m := range s.Members {
			w.buf = protocol.AppendLineEnd(fmt.Appendf(w.buf, "# %s %s %s%s", m.Name, m.Address, vote(m), s.marks(m)), w.inv.crlf)
		}
		w.buf = protocol.AppendLineEnd(fmt.Appendf(w.buf, "OK NODE LIST %d", len(s.Members)), w.inv.crlf)
		return
	}
	w.array(len(s.Members))
	for _, m := range s.Members {
		role := ""
		switch m.Name {
		case s.Leader:
			role = "leader"
		case s.Name:
			role = s.Role
		}
		w.mapHeader(4)
		for _, text := range []string{"name", m.Name, "address", m.Address, "vote", vote(m), "role", role} {
			w.text(text)
		}
	}
}

func vote(m ClusterMember) string {
	if m.Voter {
		return "voter"
	}
	return "non-voter"
}

// marks are what else a row says of a member.
func (s *NodeStatus) marks(m ClusterMember) (text string) {
	if m.Name == s.Leader {
		text += " leader"
	}
	if m.Name == s.Name {
		text += " this-node"
	}
	return text
}

// nodeStatus is NODE STATUS.
func nodeStatus(w *response) {
	n := w.clusterNodes()
	if n == nil {
		return
	}
	s := n.NodeStatus()
	numbers := s.numbers()
	w.mapHeader(4 + len(numbers))
	for _, text := range []string{"name", s.Name, "cluster", s.Cluster, "role", s.Role, "leader", s.Leader} {
		w.text(text)
	}
	for _, f := range numbers {
		w.text(f.name)
		w.integer(int64(f.value)) //nolint:gosec // an index, or a count
	}
}

// nodeFigure is a number with its name.
type nodeFigure struct {
	name  string
	value uint64
}

func (s *NodeStatus) numbers() []nodeFigure {
	return []nodeFigure{
		{"term", s.Term},
		{"committed", s.Committed},
		{"applied", s.Applied},
		{"last", s.Last},
		{"waiting", uint64(s.Waiting)},            //nolint:gosec // a count
		{"waiting_bytes", uint64(s.WaitingBytes)}, //nolint:gosec // a size
	}
}

// nodeChange is a command that changes the members: it waits for a majority, so the reader does it.
func nodeChange(change func(n Nodes, args []string) error) func(*response) {
	return func(w *response) {
		n := w.clusterNodes()
		if n == nil {
			return
		}
		var args []string
		for _, arg := range w.inv.args[2:] {
			args = append(args, string(arg))
		}
		w.deferToReader(func() func(*response) {
			err := change(n, args)
			return func(w *response) {
				if err != nil {
					w.fail(protocol.Errorf("%s", oneLine(err.Error())))
					return
				}
				w.ok()
			}
		})
	}
}

// infoCluster is the section Cluster. Its fields are there where conch runs alone, too, so that a dashboard finds every name.
func infoCluster(w *response) []string {
	var s NodeStatus
	if n := w.executor.service.options.Nodes; n != nil {
		s = n.NodeStatus()
	}
	lines := []string{"cluster_enabled:0"} // the protocol of Redis Cluster, which conch does not speak
	lines = append(lines, "node_name:"+s.Name, "node_role:"+s.Role, "node_leader:"+s.Leader, fmt.Sprintf("node_members:%d", len(s.Members)))
	for _, f := range s.numbers() {
		lines = append(lines, fmt.Sprintf("node_%s:%d", f.name, f.value))
	}
	return lines
}

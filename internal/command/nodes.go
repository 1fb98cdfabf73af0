package command

import "time"

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
	Name     string // of this node
	Cluster  string // the cluster's number, empty if it is not known yet
	Role     string // leader, follower, candidate or roleRemoved
	Leader   string // empty if none is known
	Majority bool   // a leader is known, and a majority of the voters answers
	Healthy  bool   // moreover, each member is ok
	Term     uint64
	// Committed, Applied and Last are indices of the cluster's log: what a majority has, what has taken effect here, and what is here.
	Committed, Applied, Last uint64
	// Waiting are proposals of this node that are not committed, WaitingBytes their size.
	Waiting, WaitingBytes int
	Members               []ClusterMember
}

// roleRemoved is the role of this node if it was removed from its cluster. Its leader is the node that has refused it.
const roleRemoved = "removed"

// ClusterMember is a node of a cluster.
type ClusterMember struct {
	Name, Address string
	Voter         bool
	Role          string // as it was received; empty if it was not
	State         string // ok, behind, catching-up, away or unknown; removed if it is this node
	// LagEntries and LagBytes are what the leader has applied and this node has not.
	LagEntries, LagBytes uint64
	Link                 time.Duration // there and back
	ClockAhead           time.Duration // of that of this node
	Snapshot             uint64        // the index of its last one, 0 if there is none
	SnapshotTime         time.Time
	Err                  string // why it does not answer
}

func (m *ClusterMember) vote() string {
	if m.Voter {
		return "voter"
	}
	return "non-voter"
}

// snapshotAge is in seconds, -1 without a snapshot.
func (m *ClusterMember) snapshotAge() int64 {
	if m.SnapshotTime.IsZero() {
		return -1
	}
	return max(0, int64(time.Since(m.SnapshotTime)/time.Second))
}

// NodeField is a field of a node. Its value is a string or an int64.
type NodeField struct {
	Name  string
	Value any
}

// Fields are those of NODE STATUS, but for the members.
func (s *NodeStatus) Fields() []NodeField {
	fields := []NodeField{{"name", s.Name}, {"cluster", s.Cluster}, {"role", s.Role}, {"leader", s.Leader}}
	for _, f := range []struct {
		name  string
		value uint64
	}{
		{"majority", flag(s.Majority)},
		{"healthy", flag(s.Healthy)},
		{"term", s.Term},
		{"committed", s.Committed},
		{"applied", s.Applied},
		{"last", s.Last},
		{"waiting", uint64(s.Waiting)},            //nolint:gosec // a count
		{"waiting_bytes", uint64(s.WaitingBytes)}, //nolint:gosec // a size
	} {
		fields = append(fields, NodeField{f.name, int64(f.value)}) //nolint:gosec // an index, or a count
	}
	return fields
}

func flag(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// memberNames is how many of a member's fields say which one it is.
const memberNames = 4

// MemberFields are those of NODE LIST.
func (s *NodeStatus) MemberFields(m *ClusterMember) []NodeField {
	role := m.Role
	if m.Name == s.Leader && m.Name != "" {
		role = "leader"
	}
	return []NodeField{
		{"name", m.Name},
		{"address", m.Address},
		{"vote", m.vote()},
		{"role", role},
		{"state", m.State},
		{"lag_entries", int64(m.LagEntries)}, //nolint:gosec // a count
		{"lag_bytes", int64(m.LagBytes)},     //nolint:gosec // a size
		{"link_us", m.Link.Microseconds()},
		{"clock_ahead_ms", m.ClockAhead.Milliseconds()},
		{"snapshot", int64(m.Snapshot)}, //nolint:gosec // an index
		{"snapshot_age", m.snapshotAge()},
		{"error", m.Err},
	}
}

package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// Status is the cluster as one node sees it. The other nodes get it too.
type Status struct {
	Name, Leader string // Leader is empty if none is known
	Address      string // at which it expects to be dialed; empty from older versions
	Cluster      string // its number; empty if it is not known yet
	Role         string // leader, follower, candidate or RoleRemoved
	Term         uint64
	Committed    uint64 // the last index of which the node knows that a majority has it
	Applied      uint64
	Last         uint64 // of its log
	Entries      uint64 // how many have taken effect here: marks and the like, which have indices too, do not count
	Bytes        uint64 // of these entries
	Waiting      int    // proposals that are not committed
	WaitingBytes int
	Snapshot     uint64    // the index of the last one, 0 if there is none: the log may lose what is before it
	SnapshotTime time.Time // when it was made
	Serves       bool      // clients are served
	Retires      bool      // it is about to stop
	Clock        time.Time // of the node
	Settings     [][2]string
}

// RoleRemoved is the role of a node that was removed. Its leader is the one that has refused it.
const RoleRemoved = "removed"

// Status returns how the node sees its cluster now.
func (n *Node) Status() Status {
	roles := map[raft.RaftState]string{raft.Leader: "leader", raft.Follower: "follower", raft.Candidate: "candidate", raft.Shutdown: "closed"}
	leader, _ := n.leader()
	s := Status{
		Name: n.options.Name, Address: n.options.Address, Leader: leader.Name, Role: roles[n.raft.State()], Term: n.raft.CurrentTerm(), Committed: n.raft.CommitIndex(),
		Applied: n.raft.AppliedIndex(), Last: n.raft.LastIndex(), Serves: n.options.Serves(), Retires: n.retires.Load(), Clock: n.options.now(), Settings: n.ownSettings(),
	}
	if by := n.remover(); by != "" {
		s.Role, s.Leader = RoleRemoved, by
	}
	s.Entries, s.Bytes = n.applier.reached()
	s.Snapshot, s.SnapshotTime = n.snapshots.newest()
	if number := n.applier.cluster(); number != 0 {
		s.Cluster = fmt.Sprintf("%016x", number)
	}
	n.proposals.mu.Lock()
	defer n.proposals.mu.Unlock()
	s.Waiting, s.WaitingBytes = len(n.proposals.waiting), n.proposals.bytes
	return s
}

// reached returns how many entries have taken effect, and their bytes.
func (a *applier) reached() (entries, bytes uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.Entries, a.state.Bytes
}

const (
	// statusEvery is how often a node requests the status of each other one.
	statusEvery = time.Second
	// statusTimeout is how long it waits for the answer.
	statusTimeout = 2 * time.Second
	// maxStatus bounds an answer, which has the texts of settings.
	maxStatus = 1 << 20
)

// writeStatus answers each line of another node with the status of this one, as long as that node is a member.
func (n *Node) writeStatus(c net.Conn, h hello) error {
	in := bufio.NewReaderSize(c, 16)
	for {
		if err := c.SetDeadline(time.Now().Add(statusTimeout + 10*statusEvery)); err != nil {
			return err
		}
		switch line, err := in.ReadSlice('\n'); {
		case err != nil:
			return nil //nolint:nilerr // that node has ended
		case len(line) != 1:
			return errNotNode
		case n.refusesMember(h) != nil:
			return nil // it dials again, and is told then
		}
		text, err := json.Marshal(n.Status())
		if err != nil {
			return err
		}
		if _, err := c.Write(append(text, '\n')); err != nil {
			return nil //nolint:nilerr // as above
		}
	}
}

// statusLink is a connection on which another node's status comes.
type statusLink struct {
	net.Conn
	in   *bufio.Reader
	stop func() bool
}

func (l *statusLink) close() {
	if l != nil {
		l.stop()
		_ = l.Close()
	}
}

var errLongStatus = errors.New("its status is too long")

// request returns the status of the node at the other end.
func (l *statusLink) request() (s Status, err error) {
	if err := l.SetDeadline(time.Now().Add(statusTimeout)); err != nil {
		return s, err
	}
	if _, err := l.Write([]byte{'\n'}); err != nil {
		return s, err
	}
	var text []byte
	for {
		part, err := l.in.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case len(text) > maxStatus:
			return s, errLongStatus
		case err == nil:
			return s, json.Unmarshal(text, &s)
		case !errors.Is(err, bufio.ErrBufferFull):
			return s, err
		}
	}
}

package cluster

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/conchmq/conch/internal/log"
)

// Machine is the state that the entries lead to. It must be pure: its methods lead to the same state on each node.
type Machine interface {
	// Apply applies an entry. Entries come in order, from one goroutine at a time; it may wait, and then all of the node waits. state is the
	// cluster's own behind this entry: the machine adds its digest, and saves it with its own, in one piece. It is not to be kept. With
	// ErrStateNeeded the node gets the state of another one instead. After any other error nothing more is applied.
	Apply(e Entry, state *State) error

	// Lost is called for a proposal that was given up: ErrUnknown, or ErrNoLeader, which means that it will never be applied. Any goroutine
	// may call it.
	Lost(token any, err error)

	// WaitSaved waits until the state of an index is on the disk: the cluster's log may lose what is before it.
	WaitSaved(index uint64) error

	// Send writes a whole state, with the cluster's own, for a node that is too far behind. It may be newer than any that was requested.
	Send(w io.Writer) error

	// Receive replaces the state by one that another node sends, if [State.CheckAge] takes that for the index. If it fails, the old one is still
	// there.
	Receive(r io.Reader, index uint64) (State, error)

	// Differs is called once if the state differs from that of most nodes: nothing more is applied, and the node does not lead any more.
	Differs(index uint64)
}

// Options are what a node is made of.
type Options struct {
	Name    string
	Address string // that others dial
	// Bootstrap are the first members of a new cluster, this node among them. It is without effect once the node is in one.
	Bootstrap []Member
	// Election is about how long a leader may be silent until another is elected; 500 ms if it is 0.
	Election time.Duration
	// Timeout is how long a proposal may take; 2 s if it is 0.
	Timeout time.Duration
	// Window is how many bytes of proposals may be outstanding; 16 MiB if it is 0.
	Window int
	// LogBytes is about how many bytes of entries the log keeps for nodes that are behind; 256 MiB if it is 0.
	LogBytes int64

	Network Network
	Files   log.Files // of the log
	Small   log.Files // of the vote and the snapshot, a directory of its own
	Machine Machine
	State   State // that the machine has saved
	// Settings are those that should be the same on all nodes: each compares its own with the others'. All members get their texts.
	Settings [][2]string
	// Serves reports whether clients are served; nil is always. It is called without a lock.
	Serves func() bool
	// Report gets what goes wrong and is tried again. Any goroutine may call it. Without it nothing is reported.
	Report func(error)

	trailing uint64        // how many entries stay in the log at least; fewer in tests
	underWay int           // how many entries are on their way at once; fewer in tests
	backlog  int           // how many bytes may wait to be applied; fewer in tests
	segment  int64         // the size of the log's segments; smaller in tests
	skew     time.Duration // of the clock, in tests
	without  without
}

// without is what tests take out, to see that it is missed.
type without struct {
	dedup, sequence, chain, sync, caughtUp bool
	loses                                  func() bool     // is true for a proposal that gets lost on its way
	sent                                   func(token any) // is called before a majority has the proposal
}

// now is the node's clock. Nothing but the size of incarnations depends on it.
func (o *Options) now() time.Time { return time.Now().Add(o.skew) }

// Member is a node of the cluster.
type Member struct {
	Name, Address string
	Voter         bool
}

var (
	// ErrUnknown is of a proposal that may have been committed, and may still be.
	ErrUnknown = errors.New("the outcome is unknown: the command may have taken effect, or still may")
	// ErrNoLeader is of a proposal that was not sent, and never takes effect.
	ErrNoLeader = errors.New("the cluster has no leader")
	// ErrFull is of a proposal that was not taken, because too much is outstanding.
	ErrFull = errors.New("too much waits for the cluster")
	// ErrStateNeeded is what Machine.Apply returns if it cannot apply an entry to the state that it has.
	ErrStateNeeded = errors.New("the state of another node is needed")
	// ErrClosed is of a proposal to a node that was closed.
	ErrClosed = errors.New("the node is closed")
)

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

func (o *Options) setDefaults() error {
	if o.Election == 0 {
		o.Election = 500 * time.Millisecond
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Window == 0 {
		o.Window = 16 << 20
	}
	if o.LogBytes == 0 {
		o.LogBytes = 256 << 20
	}
	if o.trailing == 0 {
		o.trailing = minTrailing
	}
	if o.underWay == 0 {
		o.underWay = maxUnderWay
	}
	if o.backlog == 0 {
		o.backlog = maxBacklog
	}
	if o.segment == 0 {
		o.segment = segmentSize
	}
	if o.Serves == nil {
		o.Serves = func() bool { return true }
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	if !validName.MatchString(o.Name) {
		return fmt.Errorf("%q is not a name of a node: 1 to 64 letters, digits, dots, dashes and underscores", o.Name)
	}
	names := map[string]bool{}
	for _, m := range o.Bootstrap {
		if names[m.Name] {
			return fmt.Errorf("two nodes are named %q", m.Name)
		}
		names[m.Name] = true
	}
	if len(names) > 0 && !names[o.Name] {
		return fmt.Errorf("%q is not among the nodes that the cluster begins with", o.Name)
	}
	return nil
}

package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/uptime"
)

// Options are what a node is made of.
type Options struct {
	Cluster cluster.Options // Name, Address, Bootstrap, Election, Timeout and Network
	Dir     string          // of the streams
	Store   *store.Store
	// Settings are those that become state of the streams, by name. The first node of a new cluster gives them to all.
	Settings [][2]string
	Log      zerolog.Logger
}

// Node is this process as one of a cluster. It is the [command.Order] of its service, and the [cluster.Machine] of its cluster.
type Node struct {
	options Options
	applier *command.Applier
	service *command.Service
	cluster atomic.Pointer[cluster.Node] // nil before Start

	beganEmpty bool // in no cluster as yet, and without a state

	received   chan struct{} // closed once the state of another node waits for a new start
	once       sync.Once     // of received
	failed     chan error    // of capacity 1
	closing    chan struct{}
	tasks      sync.WaitGroup
	reports    command.LogLimiter
	connectors ConnectorSet // nil before Share
	sharing    sync.Mutex   // held while the set is changed, so that the newest state comes last
	full       atomic.Bool  // the memory of streams is used up; the core sets it
}

// New makes a node.
func New(o Options) *Node {
	return &Node{
		options: o, received: make(chan struct{}), failed: make(chan error, 1), closing: make(chan struct{}),
	}
}

// Store is the store as the service of a node is to use it.
func (n *Node) Store() command.Store { return &orderedStore{n.options.Store} }

// Start joins the cluster. The core of the service runs by now.
func (n *Node) Start(s *command.Service) error {
	n.service, n.applier = s, s.NewApplier()
	state, err := cluster.DecodeState(command.ClusterState(n.options.Store.Streams()))
	if err != nil {
		return err
	}
	o := n.options.Cluster
	n.beganEmpty = state.Index == 0 && !s.HasState()
	if state.Index == 0 && !n.beganEmpty && len(o.Bootstrap) > 1 { // another node may lead first, and its state would replace this one
		return errors.Join(fmt.Errorf("the directory has the streams of a conch that ran alone: begin the cluster with this node alone, "+
			"cluster-bootstrap=%s=%s, and add the others, with empty directories, by NODE ADD", o.Name, o.Address), o.Network.Close())
	}
	o.Machine, o.State, o.Report, o.Serves = n, state, n.report, n.serves
	if o.Files, err = openFiles(n.options.Dir, "log"); err != nil {
		return err
	}
	if o.Small, err = openFiles(n.options.Dir, "votes"); err != nil {
		return errors.Join(err, o.Files.Close())
	}
	c, err := cluster.Open(o)
	if err != nil {
		return err
	}
	n.cluster.Store(c)
	n.tasks.Go(n.catchUp)
	n.tasks.Go(n.followRemoval)
	n.tasks.Go(n.watch)
	n.tasks.Go(n.logChanges)
	if n.connectors != nil {
		n.tasks.Go(n.holdConnectors)
		n.tasks.Go(n.followConnectors)
	}
	return nil
}

func openFiles(dir, name string) (log.Files, error) {
	path := filepath.Join(dir, "cluster", name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	return log.OpenDirectory(path)
}

// report logs what goes wrong. What is of use later is tried again by itself.
func (n *Node) report(err error) {
	if differs := (*cluster.SettingError)(nil); errors.As(err, &differs) {
		n.options.Log.Warn().Err(err).Msg("a setting differs between nodes")
		return
	}
	if suppressed, ok := n.reports.Allow(uptime.Now()); ok {
		n.options.Log.Warn().Err(err).Int("suppressed", suppressed).Msg("a problem between the nodes of the cluster")
	}
}

// serves reports whether clients are served.
func (n *Node) serves() bool { return n.service.Loading() == nil }

// Received is closed once the state of another node is here: all of this node is to be started again, which uses it.
func (n *Node) Received() <-chan struct{} { return n.received }

// Failed has the error after which the node cannot go on.
func (n *Node) Failed() <-chan error { return n.failed }

func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default:
	}
}

// Close leaves the cluster, and saves up to which entry the streams go. No client is connected any more; the core still runs.
func (n *Node) Close() error {
	close(n.closing)
	n.applier.Stop()
	err := n.cluster.Load().Close()
	n.tasks.Wait()
	n.applier.SaveClusterState()
	return err
}

// Cluster is the node as its cluster knows it; nil before Start.
func (n *Node) Cluster() *cluster.Node { return n.cluster.Load() }

// watch passes the failure of the cluster on.
func (n *Node) watch() {
	select {
	case err := <-n.Cluster().Failed():
		n.fail(err)
	case <-n.closing:
	}
}

// change proposes an entry, and returns once it has taken effect on this node. Any goroutine but the core's may call it.
func (n *Node) change(body []byte) error {
	back := make(attempt, 1)
	if err := n.propose(body, back, true); err != nil {
		return err
	}
	select {
	case err := <-back:
		return err
	case <-n.closing:
		return cluster.ErrClosed
	}
}

// Propose implements [command.Order].
func (n *Node) Propose(body []byte, token any) error {
	return n.propose(body, token, command.StandsAlone(body))
}

func (n *Node) propose(body []byte, token any, alone bool) error {
	c := n.cluster.Load()
	if c == nil {
		return cluster.ErrNoLeader
	}
	propose := c.Propose
	if alone {
		propose = c.ProposeAlone
	}
	err := propose(body, time.Now().UnixNano(), token)
	if errors.Is(err, cluster.ErrFull) {
		return command.ErrOrderFull
	}
	if err != nil {
		return fmt.Errorf("the command was not proposed: %w", err)
	}
	return nil
}

// Leads implements [command.Order].
func (n *Node) Leads() bool {
	c := n.cluster.Load()
	return c != nil && c.Leads()
}

// Full implements [command.Order].
func (n *Node) Full() error {
	if n.full.Load() {
		return command.ErrNoRoom
	}
	return n.options.Store.Err()
}

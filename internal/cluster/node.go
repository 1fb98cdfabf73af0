package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/conchmq/conch/internal/log"
)

// Node is this process as one of a cluster. Any goroutine may call its methods.
type Node struct {
	options   Options
	votes     *votes
	store     *logStore
	snapshots *snapshots
	layer     *layer
	transport transport
	raft      *raft.Raft
	shutdown  func() raft.Future // ends raft, once
	applier   *applier
	proposals proposals
	peers     peers

	ctx    context.Context //nolint:containedctx // it ends when the node is closed
	cancel context.CancelFunc
	runs   sync.WaitGroup // the sender, the marker, the saver, the one that accepts, the one that requests the status of others
	conns  sync.WaitGroup // of other nodes
	states sending

	reported struct {
		sync.Mutex
		at map[string]time.Time
	}
	settings struct {
		sync.Mutex
		all [][2]string // replaced, and never changed
	}
	// transfers, of capacity 1, is held by a transfer: raft must not end with one in its queue, because it would never answer.
	transfers      chan struct{}
	transferFailed time.Time              // of the goroutine that holds transfers
	retires        atomic.Bool            // it is about to stop
	removedBy      atomic.Pointer[string] // the leader whose last word was that this node is no member; nil without one
	failOnce       sync.Once
	failure        chan error // of capacity 1
}

// Open makes a node and starts it. With Options.Bootstrap and nothing in its directories it begins a cluster with the other nodes that do so. Else it
// goes on in the one that it was in, or waits until a member adds it.
func Open(o Options) (*Node, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	n := &Node{options: o, failure: make(chan error, 1)}
	n.settings.all = o.Settings
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.applier = newApplier(n, o.State)
	n.layer = &layer{node: n, conns: make(chan net.Conn)}
	n.proposals.wake, n.proposals.most = make(chan struct{}, 1), o.underWay
	n.transfers = make(chan struct{}, 1)
	n.reported.at = map[string]time.Time{}
	n.peers = peers{started: time.Now(), all: map[string]*peer{}}
	n.shutdown = sync.OnceValue(func() raft.Future { return n.raft.Shutdown() })
	if err := n.open(); err != nil {
		n.cancel()
		if n.store != nil {
			err = errors.Join(err, n.store.Close())
		}
		return nil, errors.Join(err, o.Small.Close())
	}
	n.runs.Go(n.serve)
	n.runs.Go(n.runSender)
	n.runs.Go(n.runMarker)
	n.runs.Go(n.runSaver)
	n.runs.Go(n.runPeers)
	if n.applier.isLacking() { // an idle cluster has no entry that would wait for it
		n.runs.Go(n.applier.fetchInTurn)
	}
	return n, nil
}

func (n *Node) open() (err error) {
	small := files{n.options.Small}
	if n.votes, err = openVotes(small); err != nil {
		return err
	}
	if n.applier.state.cluster, err = n.votes.belong(n.options.Name, n.options.State.cluster); err != nil {
		return err
	}
	if n.proposals.incarnation, err = n.votes.nextIncarnation(n.after()); err != nil {
		return err
	}
	saved, err := openSnapshots(small)
	if err != nil {
		return err
	}
	n.snapshots = saved
	after := uint64(0)
	if saved.last != nil {
		after = saved.last.Index
	}
	if n.options.State.Index < saved.applied {
		n.applier.need(saved.applied) // the process ended before the state was here
	}
	fsync := log.Always
	if n.options.without.sync {
		fsync = log.No
	}
	l, recovery, err := log.Open(log.Options{Files: n.options.Files, Fsync: fsync, SegmentSize: n.options.segment, Recent: 1 << 20}, after, func(log.Record) error { return nil })
	if err != nil {
		return err
	}
	n.store = &logStore{
		Log: l, failed: n.fail, unsynced: n.options.without.sync,
		backlog: backlog{most: n.options.backlog, ends: n.ctx.Done(), news: make(chan struct{}, 1)},
	}
	if err := n.store.repair(recovery.Damages, after); err != nil {
		return err
	}
	saved.log, saved.reached = n.store, n.applier.has
	if saved.last != nil { // the process may have ended before the log followed it
		if err := n.store.follow(saved.last.Index, saved.last.Term); err != nil {
			return err
		}
	}
	if err := n.bootstrap(); err != nil {
		return err
	}
	n.votes.failed = func(err error) {
		n.fail(err)
		n.shutdown()
	}
	n.transport = transport{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: n.layer, MaxPool: 3, Timeout: max(10*time.Second, n.options.Timeout), Logger: silent(),
	}), n, n.store, newAnnouncer(), &away{all: map[raft.ServerID]chan struct{}{}}}
	if n.raft, err = raft.NewRaft(n.config(), n.applier, n.store, n.votes, saved, n.transport); err != nil {
		return err
	}
	n.store.raft.Store(n.raft)
	return nil
}

// silent drops raft's log: the node has lines of its own where it matters.
func silent() hclog.Logger { return hclog.New(&hclog.LoggerOptions{Output: io.Discard}) }

func (n *Node) config() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.options.Name)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = n.options.Election, n.options.Election, n.options.Election
	c.CommitTimeout = min(50*time.Millisecond, n.options.Election/2) // announcements are faster
	c.BatchApplyCh = true
	c.NoSnapshotRestoreOnStart = true // the machine has its state
	c.SnapshotInterval = time.Hour    // the saver takes them, by bytes
	c.SnapshotThreshold = 1 << 62
	c.TrailingLogs = n.options.trailing // the saver sets it
	c.Logger = silent()
	c.NoLegacyTelemetry = true
	c.ShutdownOnRemove = false // it may be added again
	return c
}

// after is what the next incarnation is behind: the clock, and the last one that the cluster knows. The latter is larger if this node has lost its
// directories, and its clock goes back.
func (n *Node) after() uint64 {
	return max(uint64(max(n.options.now().UnixNano(), 1)), n.applier.incarnation(n.options.Name)+1) - 1 //nolint:gosec // positive
}

// bootstrap writes the first term and the first members, if nothing is there. raft does not run yet: a term that cannot be written would end its
// main goroutine, and what waits for that goroutine would wait for ever.
func (n *Node) bootstrap() error {
	if len(n.options.Bootstrap) == 0 {
		return nil
	}
	var c raft.Configuration
	for _, m := range n.options.Bootstrap {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(m.Name), Address: serverAddress(m)})
	}
	if err := raft.BootstrapCluster(n.config(), n.store, n.votes, n.snapshots, nil, c); err != nil && !errors.Is(err, raft.ErrCantBootstrap) {
		return err
	}
	return nil
}

// fail reports an error after which this node cannot go on.
func (n *Node) fail(err error) {
	n.failOnce.Do(func() { n.failure <- err })
}

// Failed has the error after which the node cannot go on, if there is one: it is to be closed.
func (n *Node) Failed() <-chan error { return n.failure }

func (n *Node) self() Member { return Member{Name: n.options.Name, Address: n.options.Address} }

// leader returns the node that leads, as far as this one knows.
func (n *Node) leader() (Member, bool) {
	a, _ := n.raft.LeaderWithID()
	return memberAt(a), a != ""
}

// Close ends the node, and waits for all its goroutines. What waits is lost.
func (n *Node) Close() error {
	n.proposals.close()
	n.cancel()
	n.transfers <- struct{}{}
	defer func() { <-n.transfers }()
	errs := []error{n.options.Network.Close(), n.shutdown().Error(), n.transport.Close()}
	n.runs.Wait()
	n.conns.Wait()
	n.reportLost(n.proposals.giveUp(0))
	return errors.Join(append(errs, n.store.Close(), n.options.Small.Close())...)
}

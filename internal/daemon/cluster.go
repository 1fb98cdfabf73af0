package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/node"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/tlsfiles"
)

// errStartAgain is returned by a start that has got the state of another node: the next one uses it.
var errStartAgain = errors.New("start again")

// gatherStreams is how long changes of streams wait for others before they are written. Nothing waits for them: the log of the cluster has them.
const gatherStreams = 10 * time.Millisecond

// prepareCluster changes the settings of the store for a node of a cluster, and puts a state in place that has come from another one. It returns
// the settings that become state by the first entry of the cluster.
func prepareCluster(c *config.Config) (settings [][2]string, err error) {
	if c.Cluster.Name == "" {
		return nil, nil
	}
	if err := node.Prepare(c.Store.Dir); err != nil {
		return nil, fmt.Errorf("directory %s: %w", c.Store.Dir, err)
	}
	for _, s := range c.Store.Settings {
		settings = append(settings, [2]string{s.Name, s.Text})
	}
	c.Store.Settings, c.Store.Fsync, c.Store.Gather = nil, store.FsyncNo, gatherStreams
	return settings, nil
}

// newNode makes the node, and has the server use it. It returns nil for a broker alone.
func newNode(c *config.Config, files *tlsfiles.Source, kept *store.Store, settings [][2]string, log zerolog.Logger) (*node.Node, error) {
	x := &c.Cluster
	if x.Name == "" {
		return nil, nil
	}
	if err := checkWhole(kept); err != nil {
		return nil, err
	}
	var mutual func() *tls.Config
	if files != nil {
		mutual = files.Mutual
	}
	network, err := cluster.Listen(x.Listen, mutual)
	if err != nil {
		return nil, fmt.Errorf("cluster-listen %s: %w", x.Listen, err)
	}
	n := node.New(node.Options{
		Cluster: cluster.Options{
			Name: x.Name, Address: x.Address(), Bootstrap: x.Bootstrap, Election: x.Election, Timeout: x.Timeout, Network: network,
			Settings: comparedSettings(c),
		},
		Dir: c.Store.Dir, Store: kept, Settings: settings, Log: log,
	})
	c.Server.Order, c.Server.Nodes, c.Server.Store = n, n, n.Store()
	c.Server.NodeName, c.Server.NodeAddress, c.Server.IsLoading = x.Name, x.Clients, true
	return n, nil
}

// checkWhole refuses streams with damage: a node that lacks records has another state than the others.
func checkWhole(kept *store.Store) error {
	r, _ := kept.Recovery()
	if len(r.Damages) == 0 {
		return nil
	}
	return fmt.Errorf("%w: other nodes have what is lost; remove this node, and add it anew with an empty directory", &r.Damages[0])
}

// compared are the settings that decide what a node takes, and whether others can take it from there: they should be the same on all nodes.
var compared = []string{
	"max-message", "max-line", "max-topic", "max-arguments", "max-command", "max-predicate", "max-predicate-payload", "stream-memory",
	"cluster-election", "cluster-timeout",
}

// comparedSettings are these settings as they were given.
func comparedSettings(c *config.Config) (all [][2]string) {
	for _, s := range c.Server.Settings {
		if slices.Contains(compared, s.Name) {
			all = append(all, [2]string{s.Name, s.Value})
		}
	}
	return all
}

// join joins the cluster. Clients get LOADING until the node has caught up.
func (d *daemon) join() error {
	if d.node == nil {
		return nil
	}
	if err := d.node.Start(d.server.Service()); err != nil {
		return err //nolint:wrapcheck // it says all
	}
	d.log.Info().Str("node", d.settings.Cluster.Name).Str("cluster-address", d.settings.Cluster.Address()).
		Msg("joining the cluster: clients are served once this node has caught up")
	return nil
}

// received is closed once the state of another node waits for a new start; nil for a broker alone.
func (d *daemon) received() <-chan struct{} {
	if d.node == nil {
		return nil
	}
	return d.node.Received()
}

func (d *daemon) nodeFailed() <-chan error {
	if d.node == nil {
		return nil
	}
	return d.node.Failed()
}

// leaveCluster hands the leadership over, and closes the node once its clients have gone.
func (d *daemon) leaveCluster() {
	if d.node == nil || d.node.Cluster() == nil {
		return
	}
	if err := d.node.Close(); err != nil {
		d.log.Error().Err(err).Msg("the node could not leave the cluster in order")
	}
}

// transferLeadership makes another node lead, if this one does. That all nodes stop is no reason for a warning.
func (d *daemon) transferLeadership() {
	if d.node == nil || d.node.Cluster() == nil {
		return
	}
	if err := d.node.Cluster().Retire(); err != nil && !errors.Is(err, cluster.ErrNoOther) {
		d.log.Warn().Err(err).Msg("the leadership could not be handed over: another node is elected")
	}
}

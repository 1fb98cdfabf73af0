package node

import (
	"context"
	"slices"

	"github.com/conchmq/conch/internal/command"
)

// ConnectorSet is the connectors of a node, of which the cluster decides where they run, and which are paused.
type ConnectorSet interface {
	command.Connectors
	SetPaused(d command.Direction, name string, paused bool) error
	// SetStandby has all of them rest while another node runs them. Those that are added later rest until the next call.
	SetStandby(standby bool)
}

// Share makes a set that of a node of a cluster, and returns it for commands: what these change, they change on all nodes. It comes before
// Start. Nothing runs until the cluster names this node.
func (n *Node) Share(set ConnectorSet) command.Connectors {
	set.SetStandby(true)
	n.connectors = set
	return &sharedConnectors{set, n}
}

// SetConnectorFile sets the digest of the connectors in the file, which nodes compare. It comes behind Start.
func (n *Node) SetConnectorFile(digest string) {
	n.Cluster().SetSetting("source and sink", digest)
	n.shareConnectors()
}

// holdConnectors has this node run the connectors of the cluster whenever it leads, if it has some.
func (n *Node) holdConnectors() {
	n.repeat(changesEvery, func() (goesOn bool) {
		if !n.serves() || !n.Leads() || n.service.RunsConnectors() || len(n.service.Connectors()) == 0 {
			return true
		}
		if err := n.change(n.service.HolderBody()); err != nil {
			n.report(err)
		}
		return true
	})
}

// followConnectors has the set do what the nodes share.
func (n *Node) followConnectors() {
	before := ""
	for {
		change := n.service.ConnectorsChange()
		n.shareConnectors()
		if name := n.service.ConnectorNode(); name != before {
			n.options.Log.Info().Str("node", name).Msg("a node runs the connectors of the cluster")
			before = name
		}
		select {
		case <-change:
		case <-n.closing:
			return
		}
	}
}

// shareConnectors has the set do what the nodes share at this moment.
func (n *Node) shareConnectors() {
	n.sharing.Lock()
	defer n.sharing.Unlock()
	if n.connectors == nil {
		return
	}
	for _, c := range n.connectors.List() {
		_ = n.connectors.SetPaused(c.Direction, c.Name, n.service.IsPaused(c.Direction, c.Name)) // it may have gone
	}
	n.connectors.SetStandby(!n.service.RunsConnectors() || n.Cluster().Removed())
}

// sharedConnectors are the connectors of a node, for commands.
type sharedConnectors struct {
	ConnectorSet
	node *Node
}

// Pause implements [command.Connectors].
func (c *sharedConnectors) Pause(_ context.Context, d command.Direction, name string) error {
	return c.setPaused(d, name, true)
}

// Resume implements [command.Connectors].
func (c *sharedConnectors) Resume(_ context.Context, d command.Direction, name string) error {
	return c.setPaused(d, name, false)
}

// Remove implements [command.Connectors]: nothing is kept of a connector that the files of the nodes do not have any more.
func (c *sharedConnectors) Remove(ctx context.Context, d command.Direction, name string) error {
	if c.has(d, name) {
		return c.ConnectorSet.Remove(ctx, d, name) // it is an error: all are of the file
	}
	body := c.node.service.DroppedBody(d, name)
	if body == nil {
		return command.ErrNoConnector
	}
	return c.node.change(body)
}

func (c *sharedConnectors) has(d command.Direction, name string) bool {
	return slices.ContainsFunc(c.List(), func(row command.Connector) bool { return row.Direction == d && row.Name == name })
}

func (c *sharedConnectors) setPaused(d command.Direction, name string, paused bool) error {
	if !c.has(d, name) {
		return command.ErrNoConnector
	}
	body, err := c.node.service.PausedBody(d, name, paused)
	if err == nil {
		err = c.node.change(body)
	}
	c.node.shareConnectors()
	return err
}

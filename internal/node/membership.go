package node

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/conchmq/conch/internal/position"
)

// catchUpEvery is how often a node that starts looks whether there is a cluster.
const catchUpEvery = 20 * time.Millisecond

// attempt is the token of an entry that is waited for. It gets the error, or nil.
type attempt chan error

// catchUp has clients served once this node has caught up, and again each time that it was removed and is a member again.
func (n *Node) catchUp() {
	for n.repeat(catchUpEvery, n.isBehind) && n.repeat(changesEvery, n.serves) {
	}
}

// isBehind founds the cluster, if this node leads a new one, and proposes until an entry has come back: then it has clients served, and returns false.
func (n *Node) isBehind() bool {
	wasFounded := n.service.IsFounded()
	if n.Cluster().Removed() || !wasFounded && !n.Leads() {
		return true
	}
	if err := n.attempt(); err != nil || !wasFounded { // the first entry of all comes before what this node reports
		return true
	}
	if err := n.dropBeginning(); err != nil {
		n.report(fmt.Errorf("the log of the cluster keeps its beginning: %w", err))
		return true
	}
	if !n.service.SetLoaded() {
		return true
	}
	n.options.Log.Info().Str("node", n.options.Cluster.Name).Msg("this node has caught up with the cluster")
	for _, s := range n.service.Ineffective(n.options.Settings) {
		n.options.Log.Warn().Str("setting", s.Name).Str("given", s.Given).Str("in_force", s.InForce).
			Msg("the cluster has another value of a setting: the one given here has no effect, and CONFIG SET changes it on all nodes")
	}
	return false
}

// dropBeginning comes before clients are served, which may add nodes: these are not to begin with entries that build on streams of this one.
func (n *Node) dropBeginning() error {
	if n.beganEmpty {
		return nil // as they do
	}
	return n.Cluster().DropBeginning()
}

func (n *Node) attempt() error {
	body := n.service.AddressBody()
	if !n.service.IsFounded() {
		var random [8]byte
		_, _ = rand.Read(random[:]) // it never fails: without randomness the process ends
		body = n.service.FoundingBody(position.NewEpoch(binary.NativeEndian.Uint64(random[:])), n.options.Settings)
	}
	return n.change(body)
}

// followRemoval turns clients away as long as this node is no member of its cluster.
func (n *Node) followRemoval() {
	was := false
	n.repeat(changesEvery, func() (goesOn bool) {
		is := n.Cluster().Removed()
		if is || was {
			n.service.SetRemoved(is) // again and again: the member that clients are sent to may be another one
		}
		if is != was {
			n.logRemoval(is)
			n.shareConnectors()
		}
		was = is
		return true
	})
}

func (n *Node) logRemoval(removed bool) {
	if removed {
		n.options.Log.Warn().Str("node", n.options.Cluster.Name).
			Msg("this node was removed from the cluster, and serves no clients: stop it, or add it again by NODE ADD")
		return
	}
	n.options.Log.Info().Str("node", n.options.Cluster.Name).Msg("this node is a member of the cluster again: clients are served once it has caught up")
}

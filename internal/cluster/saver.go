package cluster

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// minTrailing is how many entries stay in the log at least.
	minTrailing = 1024
	// keptHalves is which part of LogBytes stays: a node that lacks less gets entries, and not the whole state.
	keptHalves = 2
	// maxHeld is how many times LogBytes the log may become while a node gets the state, and then what has come since.
	maxHeld = 16
	// heldAfter is how long a node has to come back with the state that it got: it starts again.
	heldAfter = time.Minute
)

// sending counts the states that are being sent.
type sending struct {
	mu    sync.Mutex
	n     int
	ended time.Time // of the last one
}

func (s *sending) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n += n; n < 0 {
		s.ended = time.Now()
	}
}

// holds reports whether entries are kept for a node that gets a state, or has got one.
func (s *sending) holds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n > 0 || !s.ended.IsZero() && time.Since(s.ended) < heldAfter
}

// stored is how many bytes of entries had been stored up to one of them.
type stored struct {
	index uint64
	bytes int64
}

// runSaver makes the log lose its head once it is long enough.
func (n *Node) runSaver() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var at int64
	var looks []stored // each second; the first is about where the log is to begin
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
		now := stored{n.store.Last(), n.store.bytes()}
		looks = append(looks, now)
		if i := slices.IndexFunc(looks, func(l stored) bool { return l.bytes > now.bytes-n.options.LogBytes/keptHalves }); i > 1 {
			looks = slices.Delete(looks, 0, i-1)
		}
		if since := now.bytes - at; since < n.options.LogBytes || since < maxHeld*n.options.LogBytes && n.isAwaited() {
			continue
		}
		at = now.bytes
		if err := n.shorten(max(now.index-min(looks[0].index, now.index), n.options.trailing)); err != nil && n.ctx.Err() == nil {
			n.report(fmt.Errorf("the log keeps its head: %w", err))
		}
	}
}

// DropBeginning makes the log begin behind what the machine has applied, if this node alone is the cluster and the log still has its first entry.
// The entries build on the state that the node had before, which no other node has: one that is added would confirm them without it. Now it lacks
// the head of the log, so it gets the state as a whole, and confirms nothing before that.
func (n *Node) DropBeginning() error {
	if n.store.Head() > 1 || len(n.Members()) > 1 {
		return nil
	}
	err := n.shorten(1) // the log goes on behind the last one
	if err == nil && n.store.Head() == 1 {
		err = raft.ErrNothingNewToSnapshot
	}
	return err
}

// shorten makes the log lose its head, but for about so many entries.
func (n *Node) shorten(trailing uint64) error {
	c := n.raft.ReloadableConfig()
	c.TrailingLogs = trailing
	if err := n.raft.ReloadConfig(c); err != nil {
		return err
	}
	if err := n.raft.Snapshot().Error(); !errors.Is(err, raft.ErrNothingNewToSnapshot) && !errors.Is(err, raft.ErrRaftShutdown) {
		return err
	}
	return nil
}

// isAwaited reports whether a node needs the entries that come now, behind a state.
func (n *Node) isAwaited() bool {
	return n.states.holds() || slices.ContainsFunc(n.Peers(), func(p Peer) bool { return p.State == PeerCatchingUp && p.Name != n.options.Name })
}

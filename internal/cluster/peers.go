package cluster

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Peer is a member as this node sees it; this node is one as well.
type Peer struct {
	Member
	State  PeerState
	Status Status // as it was received last; zero if it never was
	// Link is how long the last answer took, there and back. Ahead is by how much the clock of that node is before that of this one, as
	// exactly as Link allows. Both are zero for this node.
	Link, Ahead time.Duration
	// LagEntries and LagBytes are what the leader had applied, and this node had not. Without a leader, the node that is farthest counts.
	LagEntries, LagBytes uint64
	Err                  string // why the last request had no answer; empty if it had one
}

// PeerState is how a member does.
type PeerState string

// The states of members.
const (
	PeerOK         PeerState = "ok"
	PeerBehind     PeerState = "behind"      // it lacks what the leader had applied two seconds before
	PeerCatchingUp PeerState = "catching-up" // it does not serve clients yet
	PeerAway       PeerState = "away"        // it does not answer
	PeerUnknown    PeerState = "unknown"     // this node has known of it for some seconds, and has no answer yet
	PeerRemoved    PeerState = "removed"     // it is this node, and was removed
)

// awayAfter is how long a node has to be silent to be away.
const awayAfter = statusTimeout + statusEvery

// startsWithin is how long the nodes of a cluster may take to start one after the other. A node that has not answered since this one started, or
// since it was added, is unknown that long.
const startsWithin = 5 * time.Second

// peers are what a node knows of the others.
type peers struct {
	mu      sync.Mutex
	started time.Time
	all     map[string]*peer
	// reached are how far the farthest node was at the last looks, the newest one last.
	reached []progress
}

// progress is how far a node has applied the log.
type progress struct{ entries, bytes uint64 }

func (s *Status) progress() progress { return progress{s.Entries, s.Bytes} }

// behind returns what a node at p lacks of what another one has.
func (p progress) behind(other progress) (lag progress) {
	if other.entries > p.entries {
		lag = progress{other.entries - p.entries, other.bytes - min(p.bytes, other.bytes)}
	}
	return lag
}

// peer is another node.
type peer struct {
	member Member
	since  time.Time // this node knows of it
	busy   bool      // a goroutine requests its status; the link is its own
	link   *statusLink
	status Status
	own    progress // how far this node was when the answer came
	at     time.Time
	took   time.Duration
	ahead  time.Duration
	err    error
	// differing are the settings that were reported, with the text of that node. The goroutine that requests its status has them.
	differing map[string]string
}

// looksKept is how many looks are between two that are two seconds apart.
const looksKept = int(2*time.Second/statusEvery) + 1

// runPeers requests the status of all other members, again and again.
func (n *Node) runPeers() {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	var requests sync.WaitGroup
	for {
		n.peers.follow(n.Members(), n.options.Name)
		n.peers.look(n.Status())
		for _, p := range n.peers.idle() {
			requests.Go(func() { n.requestStatus(p) })
		}
		select {
		case <-n.ctx.Done():
			requests.Wait()
			n.peers.follow(nil, "")
			return
		case <-tick.C:
		}
	}
}

// follow begins and ends with members.
func (ps *peers) follow(members []Member, own string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for name, p := range ps.all {
		i := slices.IndexFunc(members, func(m Member) bool { return m.Name == name && m.Address == p.member.Address })
		if i >= 0 {
			p.member = members[i]
		} else if !p.busy { // else it is looked at again
			p.link.close()
			delete(ps.all, name)
		}
	}
	for _, m := range members {
		if m.Name != own && ps.all[m.Name] == nil {
			ps.all[m.Name] = &peer{member: m, since: time.Now()}
		}
	}
}

// look notes how far the farthest node is.
func (ps *peers) look(own Status) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.reached = append(ps.reached, ps.farthest(own))
	ps.reached = ps.reached[max(0, len(ps.reached)-looksKept):]
}

// farthest is how far the leader is, or the node that is farthest.
func (ps *peers) farthest(own Status) (most progress) {
	if own.Leader == own.Name {
		return own.progress()
	}
	if p := ps.all[own.Leader]; p != nil && time.Since(p.at) < awayAfter && !p.at.IsZero() {
		return p.status.progress()
	}
	most = own.progress()
	for _, p := range ps.all {
		if p.status.Entries > most.entries {
			most = p.status.progress()
		}
	}
	return most
}

// idle returns the nodes that are not busy, and marks them so.
func (ps *peers) idle() (all []*peer) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.all {
		if !p.busy {
			p.busy = true
			all = append(all, p)
		}
	}
	return all
}

// requestStatus gets the status of a node once.
func (n *Node) requestStatus(p *peer) {
	err := n.dialPeer(p)
	var s Status
	began := time.Now()
	if err == nil {
		if s, err = p.link.request(); err != nil {
			p.link.close()
			p.link = nil
		}
	}
	took := time.Since(began)
	if err == nil {
		n.compareSettings(p, s)
		if s.Role == "leader" { // it answers members alone
			n.removedBy.Store(nil)
		}
	}
	own := n.Status()
	n.peers.mu.Lock()
	p.busy, p.err = false, err
	if err == nil {
		p.status, p.own, p.at, p.took = s, own.progress(), time.Now(), took
		p.ahead = s.Clock.Sub(own.Clock.Add(-took / 2))
	}
	n.peers.mu.Unlock()
}

func (n *Node) dialPeer(p *peer) error {
	if p.link != nil {
		return nil
	}
	n.peers.mu.Lock()
	m := p.member
	n.peers.mu.Unlock()
	link, err := n.dialStatus(m)
	if err == nil {
		p.link = link
	}
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		n.report(err) // raft may keep its connections, and never dial
	}
	return err
}

func (n *Node) dialStatus(m Member) (*statusLink, error) {
	ctx, cancel := context.WithTimeout(n.ctx, statusTimeout)
	defer cancel()
	c, err := n.dial(ctx, m, carriesStatus)
	if err != nil {
		return nil, err
	}
	return &statusLink{c, bufio.NewReader(c), context.AfterFunc(n.ctx, func() { _ = c.Close() })}, nil
}

// Peers returns all members, in the order of their names.
func (n *Node) Peers() (all []Peer) {
	own, members := n.Status(), n.Members()
	ps := &n.peers
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, m := range members {
		one := Peer{Member: m, Status: own}
		at, isSelf := own.progress(), m.Name == own.Name
		seen := ps.farthest(own)
		switch p := ps.all[m.Name]; {
		case isSelf:
			one.State = ps.state(own, true)
			if own.Role == RoleRemoved {
				one.State = PeerRemoved
			}
			if leader := ps.all[own.Leader]; leader != nil && !leader.at.IsZero() && time.Since(leader.at) < awayAfter {
				at, seen = leader.own, leader.status.progress() // of one instant
			}
		case p == nil || p.at.IsZero():
			one.Status, one.State = Status{}, PeerAway
			if p == nil || p.mayStart() {
				one.State = PeerUnknown
			}
			at = progress{}
		default:
			answers := time.Since(p.at) < awayAfter
			one.Status, one.Link, one.Ahead = p.status, p.took, p.ahead
			one.State, at = ps.state(p.status, answers), p.status.progress()
			if answers && own.Leader == own.Name {
				seen = p.own
			}
		}
		if p := ps.all[m.Name]; p != nil && p.err != nil {
			one.Err = p.err.Error()
		}
		lag := at.behind(seen)
		one.LagEntries, one.LagBytes = lag.entries, lag.bytes
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// mayStart reports whether a node is about to start with this one, or was added just now: it has not answered yet.
func (ps *peers) mayStart(name string) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.all[name]; p != nil {
		return p.mayStart()
	}
	return time.Since(ps.started) < startsWithin
}

func (p *peer) mayStart() bool { return p.at.IsZero() && time.Since(p.since) < startsWithin }

// state is that of a node that has answered. answers is whether it does now.
func (ps *peers) state(s Status, answers bool) PeerState {
	switch {
	case !answers:
		return PeerAway
	case !s.Serves:
		return PeerCatchingUp
	case len(ps.reached) == looksKept && s.Entries < ps.reached[0].entries:
		return PeerBehind
	}
	return PeerOK
}

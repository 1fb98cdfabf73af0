package cluster

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MaxBody is the largest body of a proposal, in bytes: a frame of the largest message with room to spare.
const MaxBody = 600 << 20

// proposals are what this node has proposed and not seen in the log yet. Any goroutine proposes; the sender sends; the applier takes out.
type proposals struct {
	mu          sync.Mutex
	incarnation uint64
	count       uint64      // of the last one
	waiting     []*proposal // in order
	sent        int         // how many of them were sent to the leader as it is now
	underWay    int         // in how many entries
	most        int         // of these
	bytes       int
	closed      bool

	gap    uint64    // the last one that was sent when all were sent again for a gap
	resent time.Time // when all were sent again for their age; the sender's

	late   *proposal // the oldest, once it has waited too long; the sender's
	lateAt uint64    // the last entry that was committed then

	wake chan struct{} // of capacity 1: there is something to send, or to send again
}

type proposal struct {
	count uint64
	time  int64
	body  []byte
	token any
	since time.Time
	alone bool // it is an entry of its own
	tried bool // it was sent once, so it may be in a log
	ends  bool // it is the last one of the entry in which it was sent last
}

// proposalCost is what a proposal takes of the window beside its body.
const proposalCost = 100

const (
	// maxUnderWay is how many entries of this node are on their way at once. What is proposed meanwhile is gathered in the next one: an entry
	// costs each node the same, however many proposals it has.
	maxUnderWay = 16
	// maxGathered bounds the bytes of an entry of several proposals.
	maxGathered = 64 << 10
)

// Propose hands a body over to be committed, behind all that were proposed before. It never blocks. What becomes of it the machine gets by
// Apply with the token or by Lost. The body may be used again once Propose has returned.
func (n *Node) Propose(body []byte, now int64, token any) error {
	return n.propose(&proposal{time: now, body: body, token: token})
}

// ProposeAlone is Propose for an entry of its own.
func (n *Node) ProposeAlone(body []byte, now int64, token any) error {
	return n.propose(&proposal{time: now, body: body, token: token, alone: true})
}

func (n *Node) propose(next *proposal) error {
	p := &n.proposals
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return ErrClosed
	case len(next.body) > MaxBody:
		return fmt.Errorf("%d bytes are proposed at once; the limit is %d", len(next.body), MaxBody)
	case p.bytes > 0 && p.bytes+len(next.body) > n.options.Window:
		return ErrFull
	}
	p.count++
	next.count, next.body, next.since = p.count, bytes.Clone(next.body), time.Now()
	p.waiting = append(p.waiting, next)
	p.bytes += len(next.body) + proposalCost
	if p.underWay < p.most {
		p.signal()
	}
	return nil
}

func (p *proposals) signal() { signal(p.wake) }

// signal wakes a goroutine that waits at a channel of capacity 1. It never blocks: a signal that was not taken yet stands for both.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// rewind makes the next ones to send all that wait.
func (p *proposals) rewind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent, p.underWay = 0, 0
}

// again makes the sender send all that wait once more, because a proposal came behind a gap. All others that were sent behind that gap come too,
// and change nothing more. If the second time has a gap as well, the sender finds out by their age.
func (p *proposals) again(e *proposed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.incarnation != p.incarnation || e.first <= p.gap || p.sent == 0 {
		return
	}
	p.gap, p.sent, p.underWay = p.waiting[p.sent-1].count, 0, 0
	p.signal()
}

// take gives the tokens of proposals that are in the log to their parts. Those before them that wait are passed: the state that another node has
// sent has them.
func (p *proposals) take(e *proposed, parts []Part) (passed []*proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.incarnation != p.incarnation {
		return nil
	}
	for last := e.last(); len(p.waiting) > 0 && p.waiting[0].count <= last; {
		first := p.waiting[0]
		p.waiting[0] = nil
		p.waiting, p.bytes = p.waiting[1:], p.bytes-len(first.body)-proposalCost
		if p.sent > 0 {
			p.sent--
			if first.ends {
				p.underWay--
			}
		}
		if first.count >= e.first {
			parts[first.count-e.first].Token = first.token
			continue
		}
		first.tried = true // it was, or it would not be there
		passed = append(passed, first)
	}
	if p.sent < len(p.waiting) && p.underWay < p.most {
		p.signal()
	}
	return passed
}

// next returns the next ones to send, as one entry; nothing while enough are under way.
func (p *proposals) next() []*proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent >= len(p.waiting) || p.underWay >= p.most {
		return nil
	}
	next, size := p.waiting[p.sent:p.sent+1], len(p.waiting[p.sent].body)
	for _, w := range p.waiting[p.sent+1:] {
		if size += len(w.body); size > maxGathered || w.alone || next[0].alone {
			break
		}
		next = p.waiting[p.sent : p.sent+len(next)+1]
	}
	for _, w := range next {
		w.tried, w.ends = true, false
	}
	next[len(next)-1].ends = true
	p.sent, p.underWay = p.sent+len(next), p.underWay+1
	return slices.Clone(next)
}

// encodeProposed makes an entry of proposals. The sender calls it, which alone begins incarnations.
func (n *Node) encodeProposed(ps []*proposal) []byte {
	e := proposed{origin: n.options.Name, incarnation: n.proposals.incarnation, first: ps[0].count}
	for _, p := range ps {
		e.bodies, e.time = append(e.bodies, p.body), p.time
	}
	return e.encode()
}

// oldest returns the one that waits for longest, or nil. The sender alone gives it up; the applier may take it out meanwhile.
func (p *proposals) oldest() *proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		return nil
	}
	return p.waiting[0]
}

// giveUp ends the incarnation, and returns what waited.
func (p *proposals) giveUp(next uint64) []*proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := p.waiting
	p.waiting, p.sent, p.underWay, p.bytes, p.count, p.gap, p.incarnation = nil, 0, 0, 0, 0, 0, next
	return lost
}

package cluster

import (
	"fmt"
	"time"
)

// runSender sends proposals to the leader, in order, and all again when it may not have got them.
func (n *Node) runSender() {
	var to leaderLink
	defer func() { to.close() }()
	check := time.NewTimer(n.options.Election)
	defer check.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.proposals.wake:
		case <-check.C:
		}
		oldest := n.proposals.oldest()
		if oldest != nil {
			n.whenLate(oldest)
		}
		disputes, open := n.applier.disputes()
		if oldest != nil || open {
			check.Reset(n.options.Election / redials)
		}
		n.sendAll(&to, disputes)
	}
}

// redials is how often, in an election's time, a node that does not lead any more is dialed again.
const redials = 10

// whenLate sends again what has waited for an election's time, and gives up what has waited too long.
func (n *Node) whenLate(oldest *proposal) {
	age := time.Since(oldest.since)
	switch {
	case age >= n.options.Timeout && age < maxUndecided*n.options.Timeout && n.isUndecided(oldest):
	case age >= n.options.Timeout:
		next, err := n.votes.nextIncarnation(n.after())
		if err != nil {
			n.proposals.close() // no other incarnation may begin
			n.fail(fmt.Errorf("the next incarnation: %w", err))
		}
		n.reportLost(n.proposals.giveUp(next))
	case age >= n.options.Election && time.Since(n.proposals.resent) >= n.options.Election: // a slow majority is not made slower
		n.proposals.resent = time.Now()
		n.proposals.rewind()
	}
}

// close makes Propose fail.
func (p *proposals) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

// maxUndecided is after how many times its time a proposal is given up even if this node has yet to apply what may be it.
const maxUndecided = 5

// isUndecided reports whether the oldest proposal may have been committed in time: this node has not applied all that was.
func (n *Node) isUndecided(oldest *proposal) bool {
	p := &n.proposals
	if p.late != oldest {
		p.late, p.lateAt = oldest, n.lastCommitted()
	}
	return n.applier.isBefore(p.lateAt)
}

func (n *Node) reportLost(lost []*proposal) {
	for _, p := range lost {
		err := ErrNoLeader
		if p.tried {
			err = ErrUnknown
		}
		n.options.Machine.Lost(p.token, err)
	}
}

// sendAll sends what is to be sent. If it cannot, the check sends it later.
func (n *Node) sendAll(to *leaderLink, disputes [][]byte) {
	leader, ok := n.leader()
	if !ok {
		return
	}
	if to.member != leader || to.broken() {
		if to.dialed == leader && time.Since(to.at) < n.options.Election/redials {
			return // the check tries again
		}
		n.proposals.rewind()
		if err := to.reopen(n, leader); err != nil {
			n.report(err)
			return
		}
	}
	for _, data := range disputes {
		if to.send(n, data) != nil {
			to.close()
			return
		}
	}
	for {
		next := n.proposals.next()
		if len(next) == 0 {
			break
		}
		if n.options.without.loses != nil && n.options.without.loses() {
			continue
		}
		if err := to.send(n, n.encodeProposed(next)); err != nil {
			to.close()
			return
		}
		if n.options.without.sent != nil {
			for _, p := range next {
				n.options.without.sent(p.token)
			}
		}
	}
	if to.out != nil && to.out.Flush() != nil {
		to.close()
	}
}

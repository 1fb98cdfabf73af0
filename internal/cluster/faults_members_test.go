package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/history"
)

// changeMembers has the leader add, promote or remove a node, or let another lead. What comes of it shows later.
func (p *play) changeMembers(n *node) {
	i := slices.IndexFunc(p.all, func(l *node) bool { return l.up && l.Status().Role == "leader" })
	if i < 0 {
		return
	}
	leader := p.all[i]
	voters := 0
	member := cluster.Member{}
	for _, m := range leader.Members() {
		if m.Voter {
			voters++
		}
		if m.Name == n.name {
			member = m
		}
	}
	if p.isGone(n) {
		p.admit(leader, n)
		return
	}
	running := leader.Node // it may be started anew meanwhile
	p.changes.Go(func() {
		switch {
		case member.Name == "" || !member.Voter:
			p.note(running.Promote(n.name))
		case n == leader:
			p.note(running.Transfer(""))
		case voters > 3:
			if err := running.Remove(n.name); err == nil {
				p.note(nil)
				p.mu.Lock()
				p.gone[n] = true
				p.mu.Unlock()
			}
		default:
			p.note(running.Transfer(n.name))
		}
	})
}

func (p *play) note(err error) {
	if err == nil {
		p.mu.Lock()
		p.Members++
		p.mu.Unlock()
	}
}

// admit adds a node that is no member, with empty directories or with those that it had.
func (p *play) admit(leader, n *node) {
	if p.random.IntN(3) > 0 {
		if n.up {
			p.stop(n)
		}
		fates := n.machine.fates
		n.machine = newMachine()
		n.machine.fates = fates // they are what clients got
		n.disks = [2]*faulty.CrashDisk{faulty.NewCrashDisk(), faulty.NewCrashDisk()}
	}
	if !n.up {
		p.begin(n)
	}
	p.mu.Lock()
	delete(p.gone, n) // it may be a member from now on
	p.mu.Unlock()
	running := leader.Node
	p.changes.Go(func() { p.note(running.Add(cluster.Member{Name: n.name, Address: n.name})) })
}

// settle waits until all fates are known, and all members have the same.
func (p *play) settle() error {
	for i := range 12_000 {
		if i%500 == 0 && !p.ended() { // what was answered before is behind it in each node that has it
			p.proposeEnd(fmt.Sprint("end", i))
		}
		if p.ended() && p.settled() {
			return nil
		}
		pause(10 * time.Millisecond)
	}
	var states []string
	for _, n := range p.all {
		if n.up {
			states = append(states, fmt.Sprintf("%+v with %d items", n.Status(), len(n.machine.list())))
		}
	}
	for _, r := range p.proposals {
		if _, known := p.by[r.ID].machine.fate(r.ID); !known {
			states = append(states, "the fate of "+r.ID+" is never known")
			break
		}
	}
	return errors.Join(p.problem, history.Check(p.history()), fmt.Errorf("not settled in two minutes: %q", states))
}

// proposeEnd proposes once more at the leader, if there is one.
func (p *play) proposeEnd(token string) {
	i := slices.IndexFunc(p.all, func(l *node) bool { return l.up && l.Leads() })
	if i >= 0 {
		p.end = token
		p.propose(p.all[i], token)
	}
}

// ended reports whether the last proposal is answered.
func (p *play) ended() bool {
	n := p.by[p.end]
	if n == nil {
		return false
	}
	err, known := n.machine.fate(p.end)
	return known && err == nil
}

// noticed reports whether a node has stopped because its state differs.
func (p *play) noticed() bool {
	return slices.ContainsFunc(p.all, func(n *node) bool { return n.machine.isDifferent() })
}

func (p *play) settled() bool {
	for _, r := range p.proposals {
		if _, known := p.by[r.ID].machine.fate(r.ID); !known {
			return false
		}
	}
	members := p.members()
	p.final = members
	if len(members) < 2 && !p.loses || len(members) == 0 { // removals that were under way together may leave two
		return false
	}
	if !slices.ContainsFunc(members[0].machine.list(), func(f fact) bool { return f.Body == p.end }) {
		return false
	}
	for _, n := range members[1:] {
		if !slices.Equal(n.machine.list(), members[0].machine.list()) {
			return false
		}
	}
	return true
}

// members are those of the leader, none if there is no leader.
func (p *play) members() []*node {
	i := slices.IndexFunc(p.all, func(l *node) bool { return l.up && l.Status().Role == "leader" })
	if i < 0 {
		return nil
	}
	return p.membersOf(p.all[i])
}

// membersOf are the nodes that one knows, and that have not stopped because their state differs.
func (p *play) membersOf(one *node) (all []*node) {
	for _, m := range one.Members() {
		for _, n := range p.all {
			if n.name == m.Name && n.up && !n.machine.isDifferent() {
				all = append(all, n)
			}
		}
	}
	return all
}

// history is what was proposed, and what each node made of it.
func (p *play) history() history.History {
	p.counts = counts{Crashes: p.Crashes, Cuts: p.Cuts, Members: p.Members}
	h := history.History{Proposals: slices.Clone(p.proposals)}
	for i := range h.Proposals {
		r := &h.Proposals[i]
		switch err, known := p.by[r.ID].machine.fate(r.ID); {
		case known && err == nil:
			r.Fate = history.Answered
			p.Answered++
		case errors.Is(err, cluster.ErrNoLeader):
			r.Fate = history.Refused
			p.Refused++
		default:
			p.Unknown++
		}
	}
	members := p.final // another leader may know others
	for _, n := range p.all {
		if n.machine.isDifferent() {
			continue // it has stopped, and serves nobody
		}
		v := history.View{Name: n.name, Kind: history.Prefix, Digest: n.machine.digest()}
		if slices.Contains(members, n) {
			v.Kind = history.Whole
		}
		for _, f := range n.machine.list() {
			v.Items = append(v.Items, history.Item{Place: f.Place, ID: f.Body})
		}
		p.States += n.machine.received
		h.Views = append(h.Views, v)
	}
	return h
}

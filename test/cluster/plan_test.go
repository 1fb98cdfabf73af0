//go:build cluster

package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/conchmq/conch/internal/faulty"
)

// plan is a sequence of faults, drawn from a seed. Each kind comes once, in any order.
type plan struct {
	*nodes
	random *rand.Rand
	counts map[string]int
}

// fault is a kind of fault. begin returns what ends it.
type fault struct {
	name  string
	begin func(p *plan, n *node) (end func() error, err error)
	alone bool // nothing else is wrong meanwhile
}

func faults() []fault {
	return []fault{
		{"kill", (*plan).kill, false},
		{"freeze", (*plan).freeze, false},
		{"link down", (*plan).linkDown, false},
		{"one way", (*plan).oneWay, false},
		{"slow link", (*plan).slowLink, false},
		{"lossy link", (*plan).lossyLink, false},
		{"stop", (*plan).stop, false},
		{"hand over", (*plan).handOver, false},
		{"full disk", (*plan).fullDisk, true},
		{"flipped bits", (*plan).flipBits, true},
		{"power", (*plan).power, true},
	}
}

func newPlan(c *nodes, seed uint64) *plan {
	return &plan{nodes: c, random: rand.New(rand.NewPCG(seed, 1)), counts: map[string]int{}}
}

// play plays all faults. Between two of them all is well for a while.
func (p *plan) play() error {
	all := faults()
	p.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, f := range all {
		if err := p.step(f); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if all := p.defects(); len(all) > 0 {
			return fmt.Errorf("%s: %s", f.name, strings.Join(all, "\n"))
		}
	}
	return nil
}

// step plays a fault; one time in three, another one hits another node at the same time.
func (p *plan) step(f fault) error {
	n := p.victim()
	if f.alone {
		if err := p.awaitAll(); err != nil {
			return err
		}
	}
	ends, err := p.begin(nil, f, n)
	if second := faults()[p.random.IntN(6)]; err == nil && !f.alone && second.name != f.name && p.random.IntN(3) == 0 {
		other := p.all[(n.island+p.random.IntN(count-1))%count] // islands count from 1: never n
		ends, err = p.begin(ends, second, other)
	}
	wait(p.between(300, 3000))
	for _, end := range ends {
		err = errors.Join(err, end())
	}
	wait(p.between(200, 2000))
	return err
}

func (p *plan) begin(ends []func() error, f fault, n *node) ([]func() error, error) {
	p.t.Logf("%s: %s", f.name, n.name)
	p.counts[f.name]++
	end, err := f.begin(p, n)
	if end != nil {
		ends = append(ends, end)
	}
	return ends, err
}

// victim is the leader half of the time.
func (p *plan) victim() *node {
	n := p.all[p.random.IntN(count)]
	if p.random.IntN(2) == 0 {
		if leader := p.leader(); leader != nil {
			return leader
		}
	}
	return n
}

// between returns a random time, in milliseconds.
func (p *plan) between(least, most int) time.Duration {
	return time.Duration(least+p.random.IntN(most-least)) * time.Millisecond
}

// wait lets a fault last, or its end.
func wait(d time.Duration) { <-time.After(d) }

// awaitAll waits until all nodes run, and have caught up with each other.
func (p *plan) awaitAll() error {
	for _, n := range p.all {
		if err := n.awaitReady(); err != nil {
			return err
		}
	}
	err := await("all nodes have the same leader", func() bool {
		leader := p.leader()
		if leader == nil {
			return false
		}
		for _, n := range p.all {
			if n.status("leader") != leader.name {
				return false
			}
		}
		return true
	})
	for _, n := range p.all {
		if err != nil {
			frame, failure := n.request("NODE", "STATUS")
			err = fmt.Errorf("%w; %s: %q, %w", err, n.name, frame, failure)
		}
	}
	return err
}

func (p *plan) kill(n *node) (func() error, error) {
	if err := n.end(syscall.SIGKILL); err != nil {
		return nil, err
	}
	return func() error { return n.start(n.replaced > 0) }, nil
}

func (p *plan) freeze(n *node) (func() error, error) {
	return func() error { return n.signal(syscall.SIGCONT) }, n.signal(syscall.SIGSTOP)
}

func (p *plan) linkDown(n *node) (func() error, error) {
	return func() error { return p.islands.Up(n.island) }, p.islands.Down(n.island)
}

// oneWay makes a node lose all that another one sends.
func (p *plan) oneWay(n *node) (func() error, error) {
	sender := p.all[(n.island+p.random.IntN(count-1))%count]
	return func() error { return p.islands.Unblock(n.island) }, p.islands.Block(n.island, sender.island)
}

func (p *plan) slowLink(n *node) (func() error, error) {
	w := faulty.Weather{Delay: p.between(1, 60), Jitter: p.between(1, 120)}
	if p.random.IntN(2) == 0 {
		w.Reorder = 1 + p.random.IntN(50)
	}
	return p.weather(n, w)
}

func (p *plan) lossyLink(n *node) (func() error, error) {
	return p.weather(n, faulty.Weather{Loss: 1 + p.random.IntN(40)})
}

func (p *plan) weather(n *node, w faulty.Weather) (func() error, error) {
	p.islands.Link(n.island).Set(w)
	return func() error { p.islands.Link(n.island).Set(faulty.Weather{}); return nil }, nil
}

// handOver makes another node lead. It may fail while all is changing.
func (p *plan) handOver(n *node) (func() error, error) {
	_, _ = n.request("NODE", "TRANSFER")
	return nil, nil
}

// power kills all nodes at once.
func (p *plan) power(*node) (func() error, error) {
	for _, n := range p.all {
		if err := errors.Join(n.signal(syscall.SIGSTOP), n.end(syscall.SIGKILL)); err != nil {
			return nil, err
		}
	}
	return func() error {
		for _, n := range p.all {
			if err := n.start(n.replaced > 0); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

package cluster_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/history"
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/internal/testseed"
)

var (
	faultsSeed  = flag.Uint64("faults.seed", 0, "the first seed of the test of faults; 0: any")
	faultsSteps = flag.Int("faults.steps", 1000, "steps of each seed")
	faultsRuns  = flag.Int("faults.runs", 4, "how many seeds the test of faults plays")
	// A node that was away, or comes anew, needs the state of the leader if few entries stay.
	faultsTrailing = flag.Uint64("faults.trailing", 0, "how many entries stay in the log at least; 0: by the seed")
)

func firstSeed() uint64 {
	if *faultsSeed != 0 {
		return *faultsSeed
	}
	return testseed.New()
}

// Partitions of one and both directions, losses of power, slow disks and networks, clocks that jump, members that come and go, all under load: what
// was answered is in each node's sequence once, all sequences are equal, and what has an unknown fate is in all of them or in none.
func TestFaults(t *testing.T) {
	seed, total := firstSeed(), counts{}
	for i := range *faultsRuns {
		run := seed + uint64(i) //nolint:gosec // small
		synctest.Test(t, func(t *testing.T) {
			p := newPlay(t, run)
			require.NoError(t, p.play(*faultsSteps), "-faults.seed %d -faults.runs 1 -faults.steps %d", run, *faultsSteps)
			total.add(p.counts)
		})
	}
	t.Logf("seed %d: %+v", seed, total)
	assert.Greater(t, total.Answered, 50**faultsRuns, "most of it was a stand-still")
	if *faultsRuns >= 4 && *faultsTrailing == 0 {
		assert.Positive(t, total.States, "no node got the state of another")
	}
}

// skipUnderRace skips a test of the tests: under the race detector goroutines take turns otherwise, and the plays of these seeds come to
// nothing that is to be noticed. The test runs without it, too.
func skipUnderRace(t *testing.T) {
	t.Helper()
	if invariant.On {
		t.Skip("its plays are those of a run without the race detector")
	}
}

// oneOf is true once in n times.
func oneOf(n int64) func() bool {
	var calls atomic.Int64
	return func() bool { return calls.Add(1)%n == 0 }
}

// What gets lost between a node and the leader is sent again, with all behind it.
func TestFaultsWithLostProposals(t *testing.T) {
	seed := firstSeed()
	for i := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			p := newPlay(t, seed+i)
			p.take = func(_ *play, _ *node, o *cluster.Options) { o.Loses(oneOf(100)) }
			require.NoError(t, p.play(*faultsSteps), "-faults.seed %d", seed+i)
		})
	}
}

// What keeps the promise is taken out, one after the other, and the checker notices each. TestWhatWasAnsweredIsSynced has syncs: without them
// a play may take minutes, because raft looks for a common past that is gone.
func TestTheCheckerOfFaultsNotices(t *testing.T) {
	skipUnderRace(t)
	for what, take := range map[string]func(p *play, n *node, o *cluster.Options){
		"dedup": func(_ *play, _ *node, o *cluster.Options) { o.Without("dedup") },
		"sequence": func(_ *play, _ *node, o *cluster.Options) {
			o.Without("sequence")
			o.Loses(oneOf(100))
		},
		"barrier": func(_ *play, n *node, o *cluster.Options) { o.Sent(n.machine.answer) },
		"chain": func(p *play, _ *node, o *cluster.Options) {
			o.Without("chain")
			p.loses, p.trailing = true, 0
		},
	} {
		t.Run(what, func(t *testing.T) {
			seed := uint64(11) // each seed from there on shows it soon; others take much longer
			if *faultsSeed != 0 {
				seed = *faultsSeed
			}
			for i := range uint64(40) {
				var problem error
				synctest.Test(t, func(t *testing.T) {
					p := newPlay(t, seed+i)
					p.take = take
					problem = p.play(*faultsSteps)
				})
				if problem != nil {
					t.Logf("seed %d: %v", seed+i, problem)
					return
				}
			}
			assert.Fail(t, "nothing was noticed", "seed %d", seed)
		})
	}
}

// A node that loses an entry stops, also if it leads, and no other does. A play may end before a mark has the node compare its state. Of two
// voters neither is the majority: both stop.
func TestANodeThatForgetsIsNoticed(t *testing.T) {
	skipUnderRace(t)
	seed, noticed := firstSeed(), 0
	for i := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			p := newPlay(t, seed+i)
			p.loses, p.trailing = true, 0 // its state, sent to another node, would lack the entry there too
			require.NoError(t, p.play(*faultsSteps), "-faults.seed %d", seed+i)
			for _, n := range p.all {
				if p.voters > 2 && n.machine.isDifferent() {
					noticed++
					assert.Equal(t, p.loser.name, n.name, "-faults.seed %d", seed+i)
				}
			}
		})
	}
	assert.Positive(t, noticed, "seed %d", seed)
}

// counts are what a play came to.
type counts struct{ Answered, Unknown, Refused, Crashes, Cuts, Members, States int }

func (c *counts) add(o counts) {
	c.Answered += o.Answered
	c.Unknown += o.Unknown
	c.Refused += o.Refused
	c.Crashes += o.Crashes
	c.Cuts += o.Cuts
	c.Members += o.Members
	c.States += o.States
}

// play is one plan of faults, drawn from a seed.
type play struct {
	*nodes
	counts
	end       string  // the last proposal, when all was healed
	final     []*node // the members when all was settled
	random    *rand.Rand
	proposals []history.Proposal
	by        map[string]*node // who proposed it
	gone      map[*node]bool   // removed, and not added again
	changes   sync.WaitGroup   // of members
	mu        sync.Mutex       // guards gone, and what the goroutines of changes count
	problem   error
	trailing  uint64
	loses     bool // a machine loses an entry
	loser     *node
	voters    int // when it lost that
	take      func(p *play, n *node, o *cluster.Options)
}

func newPlay(t *testing.T, seed uint64) *play {
	p := &play{
		nodes: newNodes(t, "a", "b", "c", "d", "e"), random: rand.New(rand.NewPCG(seed, 0)), by: map[string]*node{},
		gone: map[*node]bool{},
	}
	p.trailing = trailingOf(seed)
	p.options = func(n *node, o *cluster.Options) {
		o.Election = time.Duration(400+p.random.IntN(200)) * time.Millisecond // a timer that runs fast or slow
		o.LogBytes = 32 << 10
		if o.Trailing(p.trailing); p.trailing > 0 {
			o.LogBytes = 2 << 10
			o.Segment(4 << 10) // so that the head gives space back
		}
		o.Skew(time.Duration(p.random.Int64N(int64(48*time.Hour))) - 24*time.Hour)
		if seed%3 == 0 {
			o.Backlog(500) // some entries, so that raft waits for the machine
		}
		o.UnderWay(1 + p.random.IntN(4)) // so that others are gathered, and gathered in another way when they are sent again
		if p.take != nil {
			p.take(p, n, o)
		}
	}
	for _, n := range p.all[3:] {
		p.gone[n] = true
	}
	return p
}

// trailingOf is how many entries stay in a play's log at least; 0 is as without the test, where no node ever needs the state of another.
func trailingOf(seed uint64) uint64 {
	if *faultsTrailing > 0 {
		return *faultsTrailing
	}
	return [...]uint64{0, 16, 0, 4}[seed%4]
}

// play plays the plan, heals everything, and checks what came of it.
func (p *play) play(steps int) error {
	for _, n := range p.all[:3] {
		p.start(n, three...)
	}
	for step := range steps {
		if p.problem != nil {
			break
		}
		if step == steps/2 && p.loses {
			p.loseNext()
		}
		p.step(step)
		pause(time.Duration(p.random.IntN(20)) * time.Millisecond)
	}
	p.calm()
	p.changes.Wait()
	err := p.problem
	if err == nil && !p.noticed() { // else a process would have ended, and perhaps too many of them
		err = p.settle()
	}
	if err == nil {
		err = history.Check(p.history())
	}
	p.stopAll()
	return err
}

// loseNext makes a node lose its next entry, the leader as well as a follower.
func (p *play) loseNext() {
	p.calm()
	leader := p.leader() // it may lead no more soon, and is a member nevertheless
	members := p.membersOf(leader)
	n := members[p.random.IntN(len(members))]
	p.loser, p.voters = n, 0
	for _, m := range leader.Members() {
		if m.Voter {
			p.voters++
		}
	}
	n.machine.mu.Lock()
	n.machine.losesNext = true
	n.machine.mu.Unlock()
	p.propose(leader, "forgotten")
	pause(5 * time.Second) // a leader that was cut off gives it up
	n.machine.mu.Lock()
	n.machine.losesNext = false
	n.machine.mu.Unlock()
}

func (p *play) step(step int) {
	n := p.all[p.random.IntN(len(p.all))]
	switch fault := p.random.IntN(300); fault {
	case 0, 1:
		p.Cuts++
		p.exchange.part([]string{n.name}, p.others(n))
	case 2, 3:
		p.Cuts++
		p.exchange.silence(p.some(), p.some())
	case 4:
		p.exchange.hangUp(p.some(), p.some())
	case 5, 6:
		p.bringDown(n)
	case 7:
		p.slow(n)
	case 8, 9, 10, 11:
		p.changeMembers(n)
	case 18: // in the whole room
		for _, n := range p.all {
			p.bringDown(n)
		}
	case 12, 13, 14, 15, 16, 17:
		p.calm()
	default:
		if n.up {
			p.propose(n, fmt.Sprintf("%s%d", n.name, step))
		}
	}
}

func (p *play) propose(n *node, token string) {
	if err := n.Propose([]byte(token), 0, token); !errors.Is(err, cluster.ErrFull) {
		require.NoError(p.t, err)
		p.proposals = append(p.proposals, history.Proposal{ID: token, Origin: n.name})
		p.by[token] = n
	}
}

// bringDown ends a node, in good order or by a loss of power.
func (p *play) bringDown(n *node) {
	switch {
	case !n.up:
	case p.random.IntN(4) == 0:
		p.stop(n)
	default:
		p.Crashes++
		p.crash(n, p.random)
	}
}

func (p *play) slow(n *node) {
	most := 1 + p.random.IntN(300)
	random := rand.New(rand.NewPCG(p.random.Uint64(), 0))
	var mu sync.Mutex
	draw := func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(random.IntN(most)) * time.Millisecond
	}
	if p.random.IntN(2) == 0 {
		n.disks[0].Slow(draw)
		return
	}
	p.exchange.change(func() {
		p.exchange.delay = func() time.Duration { return draw() / 10 }
	})
}

func (p *play) others(n *node) (names []string) {
	for _, o := range p.all {
		if o != n {
			names = append(names, o.name)
		}
	}
	return names
}

func (p *play) some() (names []string) {
	for _, n := range p.all {
		if p.random.IntN(3) == 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// calm ends all faults. Nodes that were removed are not started.
func (p *play) calm() {
	p.exchange.change(func() {
		p.exchange.delay = nil
		clear(p.exchange.cut)
	})
	for _, n := range p.all {
		n.disks[0].Slow(nil)
		if !n.up && !p.isGone(n) {
			p.begin(n)
		}
	}
}

// begin starts a node that was in the cluster.
func (p *play) begin(n *node) {
	if err := p.open(n); err != nil && p.problem == nil {
		p.problem = fmt.Errorf("%s does not start: %w", n.name, err)
	}
}

func (p *play) isGone(n *node) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone[n]
}

package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// applier is raft's state machine: it gives what is committed to the machine. raft calls it from one goroutine.
type applier struct {
	node *Node

	turn chan struct{} // of capacity 1: held while an entry is applied, and while the state of another node comes

	mu       sync.Mutex // of what others read
	state    State      // behind the last entry that the machine has applied
	recent   ring[mark] // the chain at the last indices, to compare with marks
	stopped  bool       // the state differs, or an entry cannot be read: nothing more is applied
	lacks    bool       // the state of another node is needed
	needed   uint64     // the index that it must be of at least
	named    uint64     // the index of the last entry with the number of the cluster
	unmarked bool       // entries were applied behind the last mark
	done     uint64     // the last index that was applied
	replaced bool       // the state of another node has come

	differs    bool // from a mark; no dispute has begun since
	dispute    dispute
	reportedAt time.Time // when the last entry about a dispute was made

	applied chan struct{} // of capacity 1, for the marker
}

func newApplier(n *Node, s State) *applier {
	a := &applier{node: n, applied: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	a.begin(s)
	return a
}

// begin goes on from a state.
func (a *applier) begin(s State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state, a.recent, a.lacks = s, ring[mark]{}, s.Index < a.needed
	a.differs, a.dispute = false, dispute{}
	a.recent.add(mark{s.Index, s.Chain})
}

// name sets the number of the cluster, of an entry. The first one in the log counts.
func (a *applier) name(index, number uint64) {
	a.mu.Lock()
	a.named = index
	first := a.state.cluster == 0
	if first {
		a.state.cluster = number
	}
	a.mu.Unlock()
	if first {
		a.node.keepCluster(number)
	}
}

// cluster returns the number of the cluster, or 0.
func (a *applier) cluster() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.cluster
}

// incarnation returns the last one of a node.
func (a *applier) incarnation(name string) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.origins[name].incarnation
}

// stop ends the node, of which an entry cannot be read.
func (a *applier) stop(err error) {
	a.mu.Lock()
	a.halt()
	a.mu.Unlock()
	a.node.fail(err)
}

// halt makes nothing more be applied: a node that does not know its state must not lead. The caller holds the mutex.
func (a *applier) halt() {
	if !a.stopped {
		a.stopped = true
		a.node.runs.Go(a.node.resign)
	}
}

// ApplyBatch applies entries that were committed together.
func (a *applier) ApplyBatch(logs []*raft.Log) []any {
	if err := a.node.store.waitSynced(logs[len(logs)-1].Index); err != nil {
		a.stop(err)
	} else {
		a.node.transport.announcer.announce(logs[len(logs)-1].Index)
	}
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			a.apply(l)
		}
		a.mu.Lock()
		a.done = l.Index
		a.mu.Unlock()
		a.node.store.backlog.applied(l.Index)
	}
	signal(a.applied)
	return make([]any, len(logs))
}

// Apply is raft's for one entry.
func (a *applier) Apply(l *raft.Log) any { return a.ApplyBatch([]*raft.Log{l})[0] }

func (a *applier) apply(l *raft.Log) {
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	a.applyInTurn(l)
}

func (a *applier) applyInTurn(l *raft.Log) {
	a.fetchLacking()
	a.mu.Lock()
	skip := a.stopped || l.Index <= a.state.Index // it is in the state that was saved, or that another node has sent
	a.mu.Unlock()
	if skip {
		return
	}
	if err := a.applyKind(l); err != nil {
		a.stop(err)
	}
}

func (a *applier) applyKind(l *raft.Log) error {
	if len(l.Data) == 0 {
		return errEntry
	}
	switch l.Data[0] {
	case kindMark:
		return a.compare(l)
	case kindDispute, kindReport, kindClose:
		return a.applyDispute(l.Index, l.Data)
	case kindCluster:
		if len(l.Data) != 9 {
			return errEntry
		}
		a.name(l.Index, binary.LittleEndian.Uint64(l.Data[1:]))
		return nil
	}
	return a.applyProposed(l)
}

func (a *applier) applyProposed(l *raft.Log) error {
	p, err := decodeProposed(l.Data)
	if err != nil {
		return err
	}
	a.mu.Lock()
	before, ok, gap := a.state.accepts(&p, a.node.options.without)
	a.mu.Unlock()
	p.first, p.bodies = p.first+uint64(before), p.bodies[before:] //nolint:gosec // it is not negative
	own := p.origin == a.node.options.Name
	parts := make([]Part, len(p.bodies))
	for i, b := range p.bodies {
		parts[i].Body = b
	}
	switch {
	case ok && own:
		passed := a.node.proposals.take(&p, parts)
		if !a.node.options.without.sequence { // else they are missing, and that is to be noticed
			a.node.reportLost(passed)
		}
	case gap && own:
		a.node.proposals.again(&p)
	}
	if ok && errors.Is(a.finish(l, Entry{Index: l.Index, Origin: p.origin, Time: p.time, Parts: parts}), ErrStateNeeded) {
		a.need(a.appliedIndex())
		a.applyInTurn(l) // what comes may be of before this entry
	}
	return nil
}

// isBefore reports whether entries up to an index are still to be applied, from the log.
func (a *applier) isBefore(index uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done < index && !a.lacks && !a.replaced
}

// lastCommitted returns the index of the last entry that a majority has, as far as this node knows, and that is for the applier.
func (n *Node) lastCommitted() uint64 {
	for i := n.raft.CommitIndex(); n.applier.isBefore(i); i-- {
		var l raft.Log
		if n.store.GetLog(i, &l) != nil {
			break
		}
		if l.Type == raft.LogCommand {
			return i
		}
	}
	return 0
}

// need makes the next entry wait for the state of another node, of an index at least. It reports whether none waited before.
func (a *applier) need(index uint64) (first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first = !a.lacks
	a.lacks, a.needed = true, max(a.needed, index)
	return first
}

// neededIndex is what the state of another node must be of at least.
func (a *applier) neededIndex() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.needed
}

func (a *applier) appliedIndex() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.Index
}

// finish gives an entry to the machine.
func (a *applier) finish(l *raft.Log, e Entry) error {
	after := a.state // this goroutine alone changes it
	after.Index, after.entry = l.Index, l.Data
	after.Entries, after.Bytes = after.Entries+1, after.Bytes+uint64(len(l.Data))
	err := a.node.options.Machine.Apply(e, &after)
	if err != nil {
		a.mu.Lock()
		if !errors.Is(err, ErrStateNeeded) {
			a.halt()
		}
		a.mu.Unlock()
		return err
	}
	if after.entry != nil {
		after.Digest(0)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = after
	a.recent.add(mark{l.Index, after.Chain})
	a.unmarked = true
	return nil
}

// compare compares the chain at a mark with the leader's there.
func (a *applier) compare(l *raft.Log) error {
	m, err := decodeMark(l.Data)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unmarked = false
	// The state at the leader's index is that of the last entry up to there.
	own, ok := a.recent.find(func(r mark) bool { return r.index <= m.index })
	if ok && own != m && a.dispute.at == 0 && !a.node.options.without.chain {
		a.differs = true
		a.node.proposals.signal()
	}
	return nil
}

// markAfter is how long after an entry a mark comes. It may cost each node a sync.
const markAfter = 50 * time.Millisecond

// runMarker sends a mark some time after what was committed, if this node leads.
func (n *Node) runMarker() {
	due := time.NewTimer(markAfter)
	defer due.Stop()
	waits := true // for the timer
	for {
		select {
		case <-n.ctx.Done():
			return
		case leads := <-n.raft.LeaderCh():
			if leads {
				n.lead()
			}
		case <-n.applier.applied:
			if !waits {
				due.Reset(markAfter)
				waits = true
			}
		case <-due.C:
			waits = false
			n.mark()
		}
	}
}

// mark sends a mark if entries were applied behind the last one.
func (n *Node) mark() {
	n.applier.mu.Lock()
	m, unmarked := mark{n.applier.state.Index, n.applier.state.Chain}, n.applier.unmarked && !n.applier.stopped
	n.applier.mu.Unlock()
	if unmarked && n.Leads() {
		n.raft.Apply(m.encode(), 0)
	}
}

// lead is what a node does that has begun to lead.
func (n *Node) lead() {
	if n.applier.cluster() == 0 {
		n.raft.Apply(encodeCluster(rand.Uint64()|1), 0) // of a number that is in the log already, the first counts
	}
	n.warnOfVoters()
}

// keepCluster makes the cluster's log know of which cluster it is, as the machine's state does.
func (n *Node) keepCluster(number uint64) {
	if err := n.votes.Set([]byte(clusterKey), strconv.AppendUint(nil, number, 10)); err != nil {
		n.fail(fmt.Errorf("the number of the cluster: %w", err))
	}
}

// ring has the last values.
type ring[T any] struct {
	values [1024]T
	n      int
}

func (r *ring[T]) add(v T) {
	r.values[r.n%len(r.values)] = v
	r.n++
}

// find returns the newest value that fits.
func (r *ring[T]) find(fits func(T) bool) (v T, ok bool) {
	for i := range min(r.n, len(r.values)) {
		if v = r.values[(r.n-1-i)%len(r.values)]; fits(v) {
			return v, true
		}
	}
	return *new(T), false
}

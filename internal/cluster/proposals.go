package cluster

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
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
	data  []byte
	token any
	since time.Time
	tried bool // it was sent once, so it may be in a log
}

// Propose hands a body over to be committed, behind all that were proposed before. It never blocks. What becomes of it the machine gets by
// Apply with the token or by Lost. The body may be used again once Propose has returned.
func (n *Node) Propose(body []byte, now int64, token any) error {
	p := &n.proposals
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return ErrClosed
	case len(body) > MaxBody:
		return fmt.Errorf("%d bytes are proposed at once; the limit is %d", len(body), MaxBody)
	case p.bytes > 0 && p.bytes+len(body) > n.options.Window:
		return ErrFull
	}
	p.count++
	data := proposed{n.options.Name, p.incarnation, p.count, now, body}.encode()
	p.waiting = append(p.waiting, &proposal{count: p.count, data: data, token: token, since: time.Now()})
	p.bytes += len(data)
	p.signal()
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
	p.sent = 0
}

// again makes the sender send all that wait once more, because a proposal came behind a gap. All others that were sent behind that gap come too,
// and change nothing more. If the second time has a gap as well, the sender finds out by their age.
func (p *proposals) again(e proposed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.incarnation != p.incarnation || e.count <= p.gap || p.sent == 0 {
		return
	}
	p.gap, p.sent = p.waiting[p.sent-1].count, 0
	p.signal()
}

// take returns the token of a proposal that is in the log. Those before it that wait are passed: the state that another node has sent has them.
func (p *proposals) take(e proposed) (token any, passed []*proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.incarnation != p.incarnation {
		return nil, nil
	}
	for len(p.waiting) > 0 && p.waiting[0].count <= e.count {
		first := p.waiting[0]
		p.waiting[0] = nil
		p.waiting, p.sent, p.bytes = p.waiting[1:], max(p.sent-1, 0), p.bytes-len(first.data)
		if first.count == e.count {
			return first.token, passed
		}
		first.tried = true // it was, or it would not be there
		passed = append(passed, first)
	}
	return nil, passed
}

// next returns the next one to send, or nil.
func (p *proposals) next() *proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent >= len(p.waiting) {
		return nil
	}
	next := p.waiting[p.sent]
	p.sent++
	next.tried = true
	return next
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
	p.waiting, p.sent, p.bytes, p.count, p.gap, p.incarnation = nil, 0, 0, 0, 0, next
	return lost
}

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
		p := n.proposals.next()
		if p == nil {
			break
		}
		if n.options.without.loses != nil && n.options.without.loses() {
			continue
		}
		if err := to.send(n, p.data); err != nil {
			to.close()
			return
		}
		if n.options.without.sent != nil {
			n.options.without.sent(p.token)
		}
	}
	if to.out != nil && to.out.Flush() != nil {
		to.close()
	}
}

// leaderLink is the way to the leader: a connection, or nothing if it is this node. It is the sender's.
type leaderLink struct {
	member Member
	conn   net.Conn
	out    *bufio.Writer
	ended  chan struct{} // closed when the leader has closed the connection: it leads no more

	dialed Member // last, and when
	at     time.Time
}

// reopen closes it and opens a new one.
func (l *leaderLink) reopen(n *Node, leader Member) error {
	l.close()
	l.dialed, l.at = leader, time.Now()
	if leader.Name == n.options.Name {
		l.member = leader
		return nil
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.options.Election) // a leader that is silent for longer leads no more
	defer cancel()
	c, err := n.dial(ctx, leader, carriesProposals)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(n.ctx, func() { _ = c.Close() })
	n.conns.Go(func() { // it sends nothing: what can be read is its end
		_, _ = io.Copy(io.Discard, c)
		stop()
		close(ended)
		n.proposals.signal()
	})
	l.member, l.conn, l.out, l.ended = leader, c, bufio.NewWriterSize(c, 64<<10), ended
	return nil
}

func (l *leaderLink) broken() bool {
	if l.ended == nil {
		return false
	}
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

func (l *leaderLink) close() {
	if l.conn != nil {
		_ = l.conn.Close()
		<-l.ended
	}
	*l = leaderLink{dialed: l.dialed, at: l.at}
}

func (l *leaderLink) send(n *Node, data []byte) error {
	if l.conn == nil {
		n.raft.Apply(data, 0) // what becomes of it shows in the log
		return nil
	}
	since := time.Now()
	if oldest := n.proposals.oldest(); oldest != nil {
		since = oldest.since
	}
	if err := l.conn.SetWriteDeadline(since.Add(n.options.Timeout)); err != nil { // then the oldest is given up
		return err
	}
	var size [4]byte
	binary.LittleEndian.PutUint32(size[:], uint32(len(data))) //nolint:gosec // at most MaxBody
	if _, err := l.out.Write(size[:]); err != nil {
		return err
	}
	_, err := l.out.Write(data)
	return err
}

var errNotLeading = errors.New("this node does not lead")

// receiveProposals puts what another node proposes into the log, as long as this node leads.
func (n *Node) receiveProposals(c net.Conn) error {
	in := bufio.NewReaderSize(c, 64<<10)
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); errors.Is(err, io.EOF) {
			return nil // the node ends, or sends to another leader
		} else if err != nil {
			return err
		}
		length := binary.LittleEndian.Uint32(size[:])
		if length > MaxBody+maxName+32 {
			return fmt.Errorf("a proposal of %d bytes", length)
		}
		data, err := readGrowing(in, int(length))
		if err != nil {
			return err
		}
		if n.raft.State() != raft.Leader {
			return errNotLeading
		}
		n.raft.Apply(data, 0)
	}
}

// readGrowing reads so many bytes. It allocates as they come, so that a length alone takes no memory.
func readGrowing(in io.Reader, length int) ([]byte, error) {
	data := make([]byte, 0, min(length, 64<<10))
	for len(data) < length {
		if len(data) == cap(data) {
			data = append(make([]byte, 0, min(2*cap(data), length)), data...)
		}
		part := data[len(data):cap(data)]
		if _, err := io.ReadFull(in, part); err != nil {
			return nil, err
		}
		data = data[:cap(data)]
	}
	return data, nil
}

package cluster

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

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
	if err := l.conn.SetWriteDeadline(n.sendBy()); err != nil {
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

// sendBy is until when the sender may wait for a leader that reads nothing: then the oldest proposal is given up. The time of that one may be over
// while this node is late in applying; others are still sent.
func (n *Node) sendBy() time.Time {
	left := n.options.Timeout
	if oldest := n.proposals.oldest(); oldest != nil {
		left -= time.Since(oldest.since)
	}
	if left <= 0 {
		left = n.options.Election
	}
	return time.Now().Add(left)
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

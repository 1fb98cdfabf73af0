package cluster

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// layer is how raft's own connections come and go. raft owns what it accepts.
type layer struct {
	node  *Node
	conns chan net.Conn
}

func (l *layer) give(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.node.ctx.Done():
		_ = c.Close()
	}
}

func (l *layer) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.node.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (l *layer) Close() error   { return nil } // the node closes the network
func (l *layer) Addr() net.Addr { return address(serverAddress(l.node.self())) }

func (l *layer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.node.ctx, min(timeout, l.node.options.Election)) // a new attempt may find what this one has lost
	defer cancel()
	c, err := l.node.dial(ctx, memberAt(to), carriesRaft)
	if err != nil {
		if l.node.ctx.Err() == nil {
			l.node.report(err) // raft does not report it
		}
		return nil, err
	}
	return &ending{c, context.AfterFunc(l.node.ctx, func() { _ = c.Close() })}, nil
}

// ending is a connection that the end of the node closes as well: raft keeps some beyond its own.
type ending struct {
	net.Conn
	stop func() bool
}

func (e *ending) Close() error {
	e.stop()
	return e.Conn.Close()
}

// serverAddress is what raft knows of a node: its name as well, so that each dial can make sure of it.
func serverAddress(m Member) raft.ServerAddress { return raft.ServerAddress(m.Name + "@" + m.Address) }

func memberAt(a raft.ServerAddress) Member {
	name, host, _ := strings.Cut(string(a), "@")
	return Member{Name: name, Address: host}
}

type address string

func (a address) Network() string { return "cluster" }
func (a address) String() string  { return string(a) }

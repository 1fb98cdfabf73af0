// Package faulty is a proxy that does to TCP connections what bad networks do: it holds them, delays and splits what
// passes, stalls, limits the rate, and cuts. What happens to a connection is planned before it begins, from a seed.
// It serves tests alone.
package faulty

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// Proxy is a running proxy.
type Proxy struct {
	listener net.Listener
	target   string
	plan     func(number uint64) Plan
	ctx      context.Context
	cancel   context.CancelFunc
	tasks    sync.WaitGroup // accepting, and the connections
	counts   [faults]atomic.Int64
	conns    atomic.Int64
}

// Start listens on a free port of the loopback interface. Connections are numbered from 0, in the order in which they
// come; plan says what becomes of each, and is called from one goroutine.
func Start(target string, plan func(number uint64) Plan) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("faulty: %w", err)
	}
	p := &Proxy{listener: l, target: target, plan: plan}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.tasks.Go(p.accept)
	return p, nil
}

// Addr is where to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Conns is how many connections there were.
func (p *Proxy) Conns() int64 { return p.conns.Load() }

// Count is how many connections have come to a fault. What was planned and never came to pass, because the connection
// ended before, is not counted.
func (p *Proxy) Count(f Fault) int64 { return p.counts[f].Load() }

// Shut cuts everything and waits until it is gone.
func (p *Proxy) Shut() {
	p.cancel()
	_ = p.listener.Close() // there is nothing else to do with it
	p.tasks.Wait()
}

func (p *Proxy) accept() {
	for number := uint64(0); ; number++ {
		sock, err := p.listener.Accept()
		if err != nil {
			return // Shut, or a listener that is of no use any more: whoever dials next notices
		}
		p.conns.Add(1)
		plan := p.plan(number)
		p.tasks.Go(func() { p.serve(sock, plan) })
	}
}

// serve is one connection. A server that cannot be reached looks like one that closes at once.
func (p *Proxy) serve(sock net.Conn, plan Plan) {
	defer func() { _ = sock.Close() }() // once more where it was cut
	l := &link{plan: plan, client: sock, onFault: func(f Fault) { p.counts[f].Add(1) }}
	if plan.Hold > 0 {
		l.record(Hold)
		if !wait(p.ctx, plan.Hold) {
			return
		}
	}
	var dialer net.Dialer
	upstream, err := dialer.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer func() { _ = upstream.Close() }()
	l.server = upstream
	l.run(p.ctx)
}

// Package faulty is a TCP proxy that behaves like a bad network: it holds connections, delays and splits data, stalls,
// limits the rate, and cuts. A seed determines the faults of each connection in advance. For tests only.
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
	tasks    sync.WaitGroup // the accept loop and the connections
	counts   [faults]atomic.Int64
	conns    atomic.Int64
}

// Start listens on a free port of the loopback interface. plan returns the faults of each connection; connections are
// numbered from 0 in the order of accept. One goroutine calls plan.
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

// Addr is the address of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Conns is the number of connections so far.
func (p *Proxy) Conns() int64 { return p.conns.Load() }

// Count is the number of connections with a fault of a kind. It excludes planned faults of connections that ended before.
func (p *Proxy) Count(f Fault) int64 { return p.counts[f].Load() }

// Shut cuts all connections and waits for all goroutines.
func (p *Proxy) Shut() {
	p.cancel()
	_ = p.listener.Close() // the proxy is shut in any case
	p.tasks.Wait()
}

func (p *Proxy) accept() {
	for number := uint64(0); ; number++ {
		sock, err := p.listener.Accept()
		if err != nil {
			return // Shut, or a broken listener, which the next dial reports
		}
		p.conns.Add(1)
		plan := p.plan(number)
		p.tasks.Go(func() { p.serve(sock, plan) })
	}
}

// serve serves one connection. It closes the connection if the server is unreachable.
func (p *Proxy) serve(sock net.Conn, plan Plan) {
	defer func() { _ = sock.Close() }() // again after a cut
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

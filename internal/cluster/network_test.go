package cluster_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/cluster"
)

// exchange is a network in memory, of which lines can be cut.
type exchange struct {
	mu    sync.Mutex
	ports map[string]*port
	cut   map[[2]string]bool
	lines map[[2]string][]net.Conn
}

func newExchange() *exchange {
	return &exchange{ports: map[string]*port{}, cut: map[[2]string]bool{}, lines: map[[2]string][]net.Conn{}}
}

// port is a node's place in it.
type port struct {
	exchange *exchange
	name     string
	in       chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (x *exchange) open(name string) cluster.Network {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := &port{exchange: x, name: name, in: make(chan net.Conn), closed: make(chan struct{})}
	x.ports[name] = p
	return p
}

var errUnreachable = errors.New("unreachable")

func (p *port) Dial(ctx context.Context, address string) (net.Conn, error) {
	x := p.exchange
	x.mu.Lock()
	to := x.ports[address]
	if to == nil || x.cut[pair(p.name, address)] {
		x.mu.Unlock()
		return nil, errUnreachable
	}
	here, there := net.Pipe()
	x.lines[pair(p.name, address)] = append(x.lines[pair(p.name, address)], here, there)
	x.mu.Unlock()
	select {
	case to.in <- there:
		return here, nil
	case <-to.closed:
		return nil, errUnreachable
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *port) Accept() (net.Conn, error) {
	select {
	case c := <-p.in:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *port) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *port) Addr() net.Addr { return &net.UnixAddr{Name: p.name, Net: "memory"} }

func pair(a, b string) [2]string {
	if a > b {
		a, b = b, a
	}
	return [2]string{a, b}
}

// part cuts the lines between two groups: what is on them is lost.
func (x *exchange) part(a, b []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, from := range a {
		for _, to := range b {
			x.cut[pair(from, to)] = true
			for _, c := range x.lines[pair(from, to)] {
				_ = c.Close()
			}
			delete(x.lines, pair(from, to))
		}
	}
}

func (x *exchange) heal() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.cut)
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

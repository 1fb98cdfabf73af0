package cluster_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/cluster"
)

// exchange is a network in memory. Each direction of a pair of nodes can be cut by itself: what is on its way waits then, and no side sees it.
type exchange struct {
	mu      sync.Mutex
	ports   map[string]*port
	cut     map[[2]string]bool // from and to
	changed chan struct{}      // closed at each change of cut
	lines   []*line
	delay   func() time.Duration // of a piece; nil is none
	dialed  map[string]int       // how often each node was
}

func newExchange() *exchange {
	return &exchange{ports: map[string]*port{}, cut: map[[2]string]bool{}, dialed: map[string]int{}, changed: make(chan struct{})}
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

var errUnreachable = &net.OpError{Op: "dial", Net: "memory", Err: errors.New("unreachable")}

func (p *port) Check(string) error { return nil }

func (p *port) Dial(ctx context.Context, address string) (net.Conn, error) {
	x := p.exchange
	x.mu.Lock()
	x.dialed[address]++
	x.mu.Unlock()
	if !x.passes(ctx.Done(), p.name, address) || !x.passes(ctx.Done(), address, p.name) {
		return nil, errUnreachable
	}
	x.mu.Lock()
	to := x.ports[address]
	x.mu.Unlock()
	if to == nil {
		return nil, errUnreachable
	}
	here, there := x.join(p.name, address)
	select {
	case to.in <- there:
		return here, nil
	case <-to.closed:
		_ = here.Close()
		return nil, errUnreachable
	case <-ctx.Done():
		_ = here.Close()
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

// line is a connection between two nodes, with two goroutines that carry its bytes.
type line struct {
	nodes [2]string
	ends  []net.Conn
	ended chan struct{}
	once  sync.Once
}

func (l *line) cut() {
	l.once.Do(func() { close(l.ended) })
	for _, c := range l.ends {
		_ = c.Close()
	}
}

// join makes a connection from one node to another.
func (x *exchange) join(from, to string) (here, there net.Conn) {
	here, middle1 := net.Pipe()
	there, middle2 := net.Pipe()
	l := &line{nodes: [2]string{from, to}, ends: []net.Conn{here, middle1, there, middle2}, ended: make(chan struct{})}
	x.mu.Lock()
	x.lines = append(x.lines, l)
	x.mu.Unlock()
	go x.carry(l, from, to, middle1, middle2)
	go x.carry(l, to, from, middle2, middle1)
	return here, there
}

// carry forwards what one node sends to another, as long as it passes.
func (x *exchange) carry(l *line, from, to string, in, out net.Conn) {
	defer l.cut()
	piece := make([]byte, 64<<10)
	for {
		n, err := in.Read(piece)
		if err != nil || !x.passes(l.ended, from, to) {
			return
		}
		if _, err := out.Write(piece[:n]); err != nil {
			return
		}
	}
}

// passes waits for the delay of a piece, and until the direction is not cut. It is false if that ends before.
func (x *exchange) passes(ended <-chan struct{}, from, to string) bool {
	x.mu.Lock()
	delay := x.delay
	x.mu.Unlock()
	if delay != nil {
		select {
		case <-time.After(delay()):
		case <-ended:
			return false
		}
	}
	for {
		x.mu.Lock()
		cut, changed := x.cut[[2]string{from, to}], x.changed
		x.mu.Unlock()
		if !cut {
			return true
		}
		select {
		case <-changed:
		case <-ended:
			return false
		}
	}
}

// dials is how often a node was dialed.
func (x *exchange) dials(name string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.dialed[name]
}

// change changes what is cut.
func (x *exchange) change(how func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	how()
	close(x.changed)
	x.changed = make(chan struct{})
}

// silence cuts one direction between two groups.
func (x *exchange) silence(from, to []string) {
	x.change(func() {
		for _, a := range from {
			for _, b := range to {
				x.cut[[2]string{a, b}] = true
			}
		}
	})
}

// part cuts both directions between two groups, and ends the connections: what is on them is lost.
func (x *exchange) part(a, b []string) {
	x.silence(a, b)
	x.silence(b, a)
	x.hangUp(a, b)
}

// hangUp ends the connections between two groups.
func (x *exchange) hangUp(a, b []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lines = slices.DeleteFunc(x.lines, func(l *line) bool {
		between := slices.Contains(a, l.nodes[0]) && slices.Contains(b, l.nodes[1]) || slices.Contains(a, l.nodes[1]) && slices.Contains(b, l.nodes[0])
		if between {
			l.cut()
		}
		return between
	})
}

func (x *exchange) heal() { x.change(func() { clear(x.cut) }) }

// close ends all connections.
func (x *exchange) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, l := range x.lines {
		l.cut()
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

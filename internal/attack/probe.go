package attack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// probeEvery is the pause between two PINGs.
const probeEvery = 5 * time.Millisecond

// pingTimeout bounds the reply to a PING; then the server counts as dead.
const pingTimeout = time.Minute

// Prober sends PING on its own connection and records the latency of each reply.
type Prober struct {
	// Disturbed is odd while the test disturbs the server from outside, and grows at the start and the end. PINGs during a
	// disturbance do not count. It may be nil.
	Disturbed func() int64

	sock net.Conn
	in   *bufio.Reader

	mu        sync.Mutex
	latencies []time.Duration
}

// NewProber connects, and authenticates if password is not empty.
func NewProber(ctx context.Context, addr, password string) (*Prober, error) {
	sock, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &Prober{sock: sock, in: bufio.NewReader(sock)}
	if password != "" {
		if err := p.request("AUTH "+password+"\r\n", "+OK\r\n"); err != nil {
			_ = sock.Close()
			return nil, err
		}
	}
	return p, nil
}

// Run sends PINGs until ctx ends and waits for the last reply. It closes the connection.
func (p *Prober) Run(ctx context.Context) error {
	defer func() { _ = p.sock.Close() }()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		before, begun := p.disturbed(), time.Now()
		if err := p.request("PING\r\n", "+PONG\r\n"); err != nil {
			if ctx.Err() == nil && before == p.disturbed() { // its latency is at least that
				p.record(time.Since(begun))
			}
			return err
		}
		if before%2 == 0 && before == p.disturbed() {
			p.record(time.Since(begun))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (p *Prober) disturbed() int64 {
	if p.Disturbed == nil {
		return 0
	}
	return p.Disturbed()
}

func (p *Prober) request(text, want string) error {
	_ = p.sock.SetDeadline(time.Now().Add(pingTimeout)) // fails on a closed socket, as the write then does
	if _, err := io.WriteString(p.sock, text); err != nil {
		return err
	}
	got, err := p.in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("no answer to %q: %w", text, err)
	}
	if got != want {
		return fmt.Errorf("%q is answered %q", text, got)
	}
	return nil
}

// record records a latency, and those of the PINGs that were due in the meantime. Otherwise a stall of a second would
// weigh as little as one reply.
func (p *Prober) record(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latencies = append(p.latencies, d)
	for d -= probeEvery; d > probeEvery; d -= probeEvery {
		p.latencies = append(p.latencies, d)
	}
}

// Reset drops all latencies.
func (p *Prober) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latencies = nil
}

// Stall returns the largest latency and the 99th percentile.
func (p *Prober) Stall() (longest, p99 time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.latencies) == 0 {
		return 0, 0
	}
	all := slices.Sorted(slices.Values(p.latencies))
	return all[len(all)-1], all[(len(all)-1)*99/100]
}

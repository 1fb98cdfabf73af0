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

// pingTimeout is how long a PING may take before the server is given up.
const pingTimeout = time.Minute

// Prober sends PING on a connection that does nothing else, and notes how long each answer takes.
type Prober struct {
	// Disturbed grows when a PING may take long for what is done to the server from outside, and again when that is over:
	// it is odd meanwhile. Such PINGs do not count. It may be nil.
	Disturbed func() int64

	sock net.Conn
	in   *bufio.Reader

	mu        sync.Mutex
	latencies []time.Duration
}

// NewProber connects, and logs in if there is a password.
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

// Run sends PINGs until ctx ends, and then waits for the last answer. It closes the connection.
func (p *Prober) Run(ctx context.Context) error {
	defer func() { _ = p.sock.Close() }()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		before, begun := p.disturbed(), time.Now()
		if err := p.request("PING\r\n", "+PONG\r\n"); err != nil {
			if ctx.Err() == nil && before == p.disturbed() { // it was waited for all that time
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
	_ = p.sock.SetDeadline(time.Now().Add(pingTimeout)) // fails on a dead socket, as the write then does
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

// record keeps a time, and those of the PINGs that were not sent meanwhile: else one stall of a second would count as
// little as one answer.
func (p *Prober) record(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latencies = append(p.latencies, d)
	for d -= probeEvery; d > probeEvery; d -= probeEvery {
		p.latencies = append(p.latencies, d)
	}
}

// Reset drops what was measured.
func (p *Prober) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latencies = nil
}

// Stall is the longest time that an answer took, and P99 that within which 99 of 100 came.
func (p *Prober) Stall() (longest, p99 time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.latencies) == 0 {
		return 0, 0
	}
	all := slices.Sorted(slices.Values(p.latencies))
	return all[len(all)-1], all[(len(all)-1)*99/100]
}

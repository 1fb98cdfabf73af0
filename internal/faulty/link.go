package faulty

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one proxied connection with both directions.
type link struct {
	plan           Plan
	client, server net.Conn
	onFault        func(Fault) // called once for each kind of fault, from any goroutine

	forwarded atomic.Int64 // bytes in both directions
	recorded  [faults]sync.Once
	stalled   atomic.Bool // the stall of the plan has begun
}

// errCut ends both directions as planned.
var errCut = errors.New("cut by plan")

// run forwards bytes until both sides have closed, one has failed, or the plan or ctx cuts the connection.
func (l *link) run(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(ended)
		l.cut(errors.Is(context.Cause(ctx), errCut) && l.plan.CutReset)
	})
	defer func() { cancel(nil); <-ended }()
	var back sync.WaitGroup
	back.Go(func() { cancelOn(cancel, l.forward(ctx, l.client, l.server, 1)) })
	cancelOn(cancel, l.forward(ctx, l.server, l.client, 0))
	back.Wait()
}

// cancelOn ends the other direction on an error of this one.
func cancelOn(cancel context.CancelCauseFunc, err error) {
	if err != nil {
		cancel(err)
	}
}

// forward forwards one direction. It returns nil after src has closed its side and dst has been half-closed.
func (l *link) forward(ctx context.Context, dst, src net.Conn, direction uint64) error {
	rng := rand.New(rand.NewPCG(l.plan.Seed, direction))
	buffer := make([]byte, 32<<10)
	for {
		n, err := src.Read(buffer)
		for rest := buffer[:n]; len(rest) > 0; {
			piece := rest[:l.pieceLen(len(rest), rng)]
			rest = rest[len(piece):]
			if err := l.forwardPiece(ctx, dst, piece, rng); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return halfClose(dst)
		}
		if err != nil {
			return err //nolint:wrapcheck // only its presence matters
		}
	}
}

// pieceLen is the length of the next piece of n bytes.
func (l *link) pieceLen(n int, rng *rand.Rand) int {
	if l.plan.Split <= 0 || n == 1 {
		return n
	}
	l.record(Split)
	return min(n, 1+rng.IntN(l.plan.Split))
}

// forwardPiece delays and writes one piece, or its part before the planned cut.
func (l *link) forwardPiece(ctx context.Context, dst net.Conn, piece []byte, rng *rand.Rand) error {
	var pause time.Duration
	if l.plan.Delay > 0 {
		l.record(Delay)
		pause = time.Duration(1 + rng.Int64N(int64(l.plan.Delay)))
	}
	if l.plan.Rate > 0 {
		l.record(Throttle)
		pause += time.Duration(len(piece)) * time.Second / time.Duration(l.plan.Rate)
	}
	after := l.forwarded.Add(int64(len(piece)))
	if l.plan.Stall > 0 && after > l.plan.StallAt && l.stalled.CompareAndSwap(false, true) {
		l.record(Stall)
		pause += l.plan.Stall
	}
	if !wait(ctx, pause) {
		return context.Cause(ctx)
	}
	over := after - l.plan.CutAt
	cut := l.plan.CutAt > 0 && over >= 0
	if cut {
		piece = piece[:max(0, int64(len(piece))-over)]
	}
	if _, err := dst.Write(piece); err != nil && !cut {
		return err //nolint:wrapcheck // as in forward
	}
	if cut {
		l.record(map[bool]Fault{true: Reset, false: Close}[l.plan.CutReset])
		return errCut
	}
	return nil
}

func (l *link) record(f Fault) { l.recorded[f].Do(func() { l.onFault(f) }) }

// cut closes both sides, which unblocks their readers and writers.
func (l *link) cut(reset bool) {
	for _, sock := range []net.Conn{l.client, l.server} {
		if tcp, ok := sock.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0) // on failure the close is a plain one
		}
		_ = sock.Close() // the socket is closed in any case
	}
}

// halfClose closes the write side.
func halfClose(sock net.Conn) error {
	if tcp, ok := sock.(*net.TCPConn); ok {
		return tcp.CloseWrite() //nolint:wrapcheck // as in forward
	}
	return sock.Close() //nolint:wrapcheck // as in forward
}

// wait waits for d and reports false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

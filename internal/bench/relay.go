package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// relayBuffer is the read size of a publisher's goroutine, in bytes.
const relayBuffer = 64 << 10

// relay forwards the input of publishers to all subscribers.
type relay struct {
	frame int // bytes

	mu          sync.Mutex
	conns       []net.Conn    // all connections, for close
	subscribers []net.Conn    // receive everything
	want        int           // subscribers to wait for before forwarding
	complete    chan struct{} // closed when all subscribers are connected

	write sync.Mutex // held while one piece goes to all subscribers, so that all see one order
}

// Relay serves connections from a listener until ctx ends, and then returns nil. It does the minimum of a server: one
// read, and one write for each subscriber. It neither parses nor queues; a slow subscriber blocks all others.
//
// The first four bytes of a connection are its role: "sub\n", with the reply "ok\n", or "pub\n", without a reply. A
// publisher then sends frames of one length. The relay forwards whole frames, so that those of two publishers do not mix.
// It reads from publishers only after all subscribers have connected. The relay closes the listener.
func Relay(ctx context.Context, listener net.Listener, subscribers, frame int) error {
	if subscribers < 1 || frame < 1 {
		return fmt.Errorf("a relay needs a subscriber and frames of a length, not %d and %d", subscribers, frame)
	}
	r := &relay{frame: frame, want: subscribers, complete: make(chan struct{})}
	var running sync.WaitGroup
	defer running.Wait()
	defer r.close()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		sock, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		r.mu.Lock()
		r.conns = append(r.conns, sock)
		r.mu.Unlock()
		running.Go(func() { r.serve(ctx, sock) })
	}
}

func (r *relay) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, sock := range r.conns {
		_ = sock.Close() // the run is over
	}
}

// serve reads the role of a connection. A subscriber needs no goroutine afterwards.
func (r *relay) serve(ctx context.Context, sock net.Conn) {
	var word [4]byte
	if _, err := io.ReadFull(sock, word[:]); err != nil {
		return
	}
	switch string(word[:]) {
	case "sub\n":
		r.subscribe(sock)
	case "pub\n":
		select {
		case <-r.complete:
			r.forward(sock)
		case <-ctx.Done():
		}
		_ = sock.Close()
	default:
		_ = sock.Close()
	}
}

func (r *relay) subscribe(sock net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := io.WriteString(sock, "ok\n"); err != nil || len(r.subscribers) == r.want {
		_ = sock.Close()
		return
	}
	if r.subscribers = append(r.subscribers, sock); len(r.subscribers) == r.want {
		close(r.complete)
	}
}

// forward forwards the frames of a publisher to all subscribers until one of their connections fails.
func (r *relay) forward(sock net.Conn) {
	buf := make([]byte, max(relayBuffer, 2*r.frame))
	for have := 0; ; {
		n, err := sock.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		whole := have - have%r.frame
		if whole > 0 && r.toAll(buf[:whole]) != nil {
			return
		}
		have = copy(buf, buf[whole:have])
	}
}

func (r *relay) toAll(b []byte) error {
	r.write.Lock()
	defer r.write.Unlock()
	var failed error
	for _, sub := range r.subscribers {
		_, err := sub.Write(b)
		failed = errors.Join(failed, err)
	}
	return failed
}

// FrameLength is the length of the frames of a load on a [Relay], in bytes.
func FrameLength(l Load) int {
	l.fill()
	l.Dialect, l.Size.Max = Raw, l.Size.Min
	return newFrames(newLayout(&l), 0, 1).length
}

// RelayLoad returns the load that measures the relay baseline of l. A [Relay] accepts one size only, so all payloads have
// the average size.
func RelayLoad(l Load) Load {
	l.fill()
	l.Dialect, l.PID = Raw, 0
	l.Size = Range{l.Size.mean(), l.Size.mean()}
	return l
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// relayBuffer is how much a publisher's goroutine reads at once, in bytes.
const relayBuffer = 64 << 10

// relay forwards what publishers write to all subscribers.
type relay struct {
	frame int // bytes

	mu          sync.Mutex
	conns       []net.Conn    // every connection, to be closed in the end
	subscribers []net.Conn    // who gets everything
	want        int           // subscribers that are to be there before anything is forwarded
	complete    chan struct{} // closed when they are

	write sync.Mutex // held while one piece goes to all subscribers: it makes the order
}

// Relay serves connections from a listener until ctx ends, and then returns nil. It is the least that a server can do:
// one read, and one write for each subscriber. It parses nothing and queues nothing; a slow subscriber holds all up.
//
// A connection says in its first four bytes what it is: "sub\n", answered "ok\n", or "pub\n", not answered. All that a
// publisher sends after that must be frames of the same length, in bytes; what is forwarded is cut between frames, so
// that those of two publishers do not mix. Nothing is read from publishers until there are as many subscribers as
// announced. The relay closes the listener.
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
		_ = sock.Close() // nobody is owed anything
	}
}

// serve finds out what a connection is. A subscriber has no goroutine from then on.
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

// forward carries what a publisher sends to the subscribers, who are all there. When it returns, the publisher or one
// of the subscribers has gone.
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

// FrameLength is the length in bytes of the frames that publishers of a load send to a [Relay].
func FrameLength(l Load) int {
	l.fill()
	l.Dialect, l.Size.Max = Raw, l.Size.Min
	return newFrames(newLayout(&l), 0, 1).length
}

// RelayLoad is a load as it is put on a [Relay]: it takes the frames of one size only, here the average,.
func RelayLoad(l Load) Load {
	l.fill()
	l.Dialect, l.PID = Raw, 0
	l.Size = Range{l.Size.mean(), l.Size.mean()}
	return l
}

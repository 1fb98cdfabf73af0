package command

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
)

// pipe is a connection that a net.Pipe carries, with the client's end of it: the least that a Transport needs.
type pipe struct {
	// waitsForBytes: the next reads have room of the size that sockets give them, which wait for bytes first.
	waitsForBytes atomic.Bool
	Conn
	t       testing.TB
	sock    net.Conn      // the client's
	from    *bufio.Reader // of sock
	ours    net.Conn
	writing sync.WaitGroup
	// deadlineAhead: the last write deadline had not passed when it was set.
	deadlineAhead atomic.Bool
}

// newService makes a service over a core that runs, until the test ends.
func newService(t testing.TB, o Options) *Service {
	s, _ := newStoppable(t, o)
	return s
}

// newStoppable is newService, with a function that stops the core before.
func newStoppable(t testing.TB, o Options) (s *Service, stopCore func()) {
	core := broker.New(broker.Options{})
	s, err := NewService(core, o)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); core.Run(ctx) }()
	t.Cleanup(func() {
		s.Stop()
		s.Wait()
		stop()
		<-ran
	})
	return s, func() { stop(); <-ran }
}

// newPipe makes a connection that is not served.
func newPipe(t testing.TB, s *Service) *pipe {
	p := &pipe{t: t}
	p.sock, p.ours = net.Pipe()
	p.from = bufio.NewReader(p.sock)
	p.Init(s, p)
	t.Cleanup(func() { _, _ = p.sock.Close(), p.ours.Close() })
	return p
}

// servePipes serves so many connections of one service, until the test ends.
func servePipes(t testing.TB, n int) (all []*pipe) {
	return servePipesOf(t, newService(t, Options{Unprotected: true}), n)
}

// servePipesOf serves so many connections of a service, until the test ends.
func servePipesOf(t testing.TB, s *Service, n int) (all []*pipe) {
	for range n {
		all = append(all, serveOn(t, s))
	}
	return all
}

// serveOn serves a connection, until the test ends.
func serveOn(t testing.TB, s *Service) *pipe {
	p := newPipe(t, s)
	p.start()
	return p
}

// start serves the connection, until the test ends.
func (p *pipe) start() {
	require.True(p.t, p.service.Add(&p.Conn))
	var serving sync.WaitGroup
	serving.Go(p.serve)
	p.t.Cleanup(func() {
		_ = p.sock.Close()
		serving.Wait()
	})
}

func (p *pipe) serve() {
	p.End(p.Reader.Serve(p.read))
	p.Reader.Leave()
	p.writing.Wait()
	_ = p.ours.Close()
	p.Finish()
}

func (p *pipe) read() (*Batch, error) {
	n, err := p.ours.Read(p.Reader.Space(!p.waitsForBytes.Load()))
	if b := p.Reader.Received(n); b != nil {
		return b, nil
	}
	if err == nil {
		err = io.EOF
	}
	return nil, err
}

func (p *pipe) write() {
	defer p.writing.Done()
	q := new(outbox.WriteQueue)
	for p.outbox.Dequeue(q, p) {
		for q.First != nil {
			n, err := p.ours.Write(q.Piece(q.First, q.ChunkOffset))
			p.MarkWritten(q, n)
			if err != nil {
				p.outbox.Fail(q)
				p.End(CloseReasonIOError)
				return
			}
		}
	}
}

func (p *pipe) Addresses() (remote, local Address) {
	return Address{Text: "pipe"}, Address{Text: "pipe"}
}
func (p *pipe) Descriptor() int { return -1 }
func (p *pipe) StartWriter()    { p.writing.Add(1); go p.write() }
func (p *pipe) Interrupt()      { _ = p.ours.SetReadDeadline(time.Unix(1, 0)) }
func (p *pipe) SetWriteDeadline(t time.Time) error {
	p.deadlineAhead.Store(t.After(time.Now()))
	return p.ours.SetWriteDeadline(t)
}
func (p *pipe) Close() error { return p.ours.Close() }

// say sends lines, and takes the first word of each answer.
func (p *pipe) say(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		_, err := fmt.Fprintln(p.sock, line)
		require.NoError(p.t, err)
		answer, err := p.from.ReadString('\n')
		require.NoError(p.t, err)
		require.Equal(p.t, "OK ", answer[:3], answer)
	}
}

// A connection needs no more of what carries it than a Transport has.
func TestAConnectionNeedsATransportAlone(t *testing.T) {
	p := servePipes(t, 1)[0]
	_, err := io.WriteString(p.sock, "SUB a\nPUB a "+strings.Repeat("x", 50_000)+"\n")
	require.NoError(t, err)
	want := "OK SUB a\nOK PUB a\nUPDATE a " + strings.Repeat("x", 50_000) + "\n"
	got := make([]byte, len(want))
	_, err = io.ReadFull(p.from, got)
	require.NoError(t, err)
	assert.Equal(t, want, string(got))
}

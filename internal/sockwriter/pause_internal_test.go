package sockwriter

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// conn is a connection over a socket, without a reader.
type conn struct {
	command.Conn
	sock    net.Conn
	writing Writing
}

func (c *conn) Addresses() (remote, local command.Address) {
	return command.Address{}, command.Address{}
}
func (c *conn) Descriptor() int                     { return -1 }
func (c *conn) StartWriter()                        { c.writing.Start() }
func (c *conn) Interrupt()                          {}
func (c *conn) SetWriteDeadline(at time.Time) error { return c.sock.SetWriteDeadline(at) }
func (c *conn) Close() error                        { return c.sock.Close() }

// newWriters makes writers of a service over a core that does not run, until the test ends.
func newWriters(t *testing.T, o command.Options) *SharedWriters {
	t.Helper()
	service, err := command.NewService(broker.New(broker.Options{}), o)
	require.NoError(t, err)
	writers, tasks := new(SharedWriters), new(sync.WaitGroup)
	writers.Init(service, tasks)
	t.Cleanup(func() {
		service.Stop()
		tasks.Wait()
		service.Wait()
	})
	return writers
}

func newConn(t *testing.T, writers *SharedWriters, sock net.Conn) *conn {
	t.Helper()
	c := &conn{sock: sock}
	c.Init(writers.service, c)
	c.writing.Init(&c.Conn, writers)
	raw, err := sock.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	c.writing.Attach(sock, raw)
	return c
}

// socketPair is the two ends of a TCP connection.
func socketPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	return socketPairOf(t, "tcp", "127.0.0.1:0")
}

// fullPair is the two ends of a connection of which ours takes nothing until so many bytes are read from theirs. A TCP socket
// that is full may take more a moment later, when the kernel has moved bytes to the other end; that of a Unix one has them at once.
func fullPair(t *testing.T) (ours, theirs net.Conn, size int) {
	t.Helper()
	ours, theirs = socketPairOf(t, "unix", filepath.Join(t.TempDir(), "s"))
	return ours, theirs, fill(t, ours)
}

func socketPairOf(t *testing.T, network, addr string) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen(network, addr)
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	theirs, err = net.Dial(network, l.Addr().String())
	require.NoError(t, err)
	ours, err = l.Accept()
	require.NoError(t, err)
	for _, sock := range []net.Conn{ours, theirs} {
		t.Cleanup(func() { _ = sock.Close() })
		require.NoError(t, sock.SetDeadline(time.Now().Add(10*time.Minute)))
	}
	return ours, theirs
}

// pausedWriter is a connection that is about to write text, and whose deadline has passed meanwhile, as it does while
// the process stands still.
func pausedWriter(t *testing.T, sock net.Conn, text string) *conn {
	t.Helper()
	c := newConn(t, newWriters(t, command.Options{SlowTime: time.Hour}), sock)
	queueText(c, text)
	c.Outbox().RenewDeadline(sock, time.Hour) // the deadline that has passed is the one that holds
	require.NoError(t, sock.SetWriteDeadline(time.Unix(1, 0)))
	c.writing.Hold()
	return c
}

// queueText hands text over as the core does.
func queueText(c *conn, text string) {
	p := outbox.NewUnflushed()
	p.Add(outbox.Fragment{Bytes: []byte(text)}, outbox.FrameInfo{Kind: outbox.KindOther})
	c.Outbox().Add(p, 0)
}

// fill writes until the kernel takes no more for a peer that does not read, and returns the number of bytes.
func fill(t *testing.T, sock net.Conn) (size int) {
	t.Helper()
	raw, err := sock.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	for full := false; !full; {
		require.NoError(t, raw.Write(func(fd uintptr) bool {
			n, err := syscall.Write(int(fd), make([]byte, 64<<10))
			full = err != nil
			size += max(0, n)
			return true
		}))
	}
	return size
}

// A process that was stopped for longer than slow-time finds that the deadline has passed, and that the peer has long
// taken what the kernel held.
func TestAPeerThatHasRoomIsNotStalledByAPauseOfTheProcess(t *testing.T) {
	ours, theirs := socketPair(t)
	text := strings.Repeat("x", 3<<20) // more than one call to the kernel
	c := pausedWriter(t, ours, text)
	go newWriter(&c.writing).run()
	got := make([]byte, len(text))
	_, err := io.ReadFull(theirs, got)
	require.NoError(t, err)
	assert.Equal(t, text, string(got))
	c.writing.Wait()
	assert.Equal(t, command.CloseReasonNone, c.Reason())
}

func TestAPeerThatTakesNothingIsStalledAllTheSame(t *testing.T) {
	ours, _, _ := fullPair(t)
	c := pausedWriter(t, ours, "text")
	newWriter(&c.writing).run()
	assert.Equal(t, command.CloseReasonWriteStalled, c.Reason())
}

// What is left when drain-timeout is over gets one more call to the kernel, and no new deadline.
func TestThereIsOneWriteAfterTheLastDeadline(t *testing.T) {
	ours, theirs := socketPair(t)
	c := pausedWriter(t, ours, strings.Repeat("x", outbox.MaxWrite/2))
	c.Outbox().Close(ours, -time.Hour)
	queueText(c, "more")
	newWriter(&c.writing).run()
	assert.Contains(t, []command.CloseReason{command.CloseReasonNone, command.CloseReasonWriteStalled}, c.Reason(), "the kernel may take a part of it")
	require.NoError(t, ours.Close())
	n, err := io.Copy(io.Discard, theirs)
	assert.NoError(t, err)
	assert.Positive(t, n)
}

package server

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
)

// socketPair is the two ends of a TCP connection.
func socketPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	theirs, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	ours, err = l.Accept()
	require.NoError(t, err)
	for _, sock := range []net.Conn{ours, theirs} {
		t.Cleanup(func() { _ = sock.Close() })
		require.NoError(t, sock.SetDeadline(time.Now().Add(10*time.Minute)))
	}
	return ours, theirs
}

// newServer makes a server over a core that does not run, until the test ends.
func newServer(t *testing.T, o command.Options) *Server {
	t.Helper()
	s, err := New(broker.New(broker.Options{}), o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	return s
}

// pausedWriter is a connection that is about to write text, and whose deadline has passed meanwhile, as it does while
// the process stands still.
func pausedWriter(t *testing.T, sock net.Conn, text string) *conn {
	t.Helper()
	c := newConn(newServer(t, command.Options{SlowTime: time.Hour}), sock)
	queueText(c, text)
	c.Outbox().RenewDeadline(sock, time.Hour) // the deadline that has passed is the one that holds
	require.NoError(t, sock.SetWriteDeadline(time.Unix(1, 0)))
	c.writing.Add(1)
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
	go newWriter(c).run()
	got := make([]byte, len(text))
	_, err := io.ReadFull(theirs, got)
	require.NoError(t, err)
	assert.Equal(t, text, string(got))
	c.writing.Wait()
	assert.Equal(t, command.CloseReasonNone, c.Reason())
}

func TestAPeerThatTakesNothingIsStalledAllTheSame(t *testing.T) {
	ours, _ := socketPair(t)
	fill(t, ours)
	c := pausedWriter(t, ours, "text")
	newWriter(c).run()
	assert.Equal(t, command.CloseReasonWriteStalled, c.Reason())
}

// What is left when drain-timeout is over gets one more call to the kernel, and no new deadline.
func TestThereIsOneWriteAfterTheLastDeadline(t *testing.T) {
	ours, theirs := socketPair(t)
	c := pausedWriter(t, ours, strings.Repeat("x", outbox.MaxWrite/2))
	c.Outbox().Close(ours, -time.Hour)
	queueText(c, "more")
	newWriter(c).run()
	assert.Contains(t, []command.CloseReason{command.CloseReasonNone, command.CloseReasonWriteStalled}, c.Reason(), "the kernel may take a part of it")
	require.NoError(t, ours.Close())
	n, err := io.Copy(io.Discard, theirs)
	assert.NoError(t, err)
	assert.Positive(t, n)
}

func TestAPauseOfTheProcessOverTLS(t *testing.T) {
	tests := []struct {
		sentence string
		full     bool
	}{
		{"a peer that has room gets the record", false},
		{"a peer that takes nothing ends it", true},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			ours, theirs := socketPair(t)
			secured := newTLS(ours, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{selfSigned(t)}})
			client := tls.Client(theirs, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}) //nolint:gosec // its own
			shaken := make(chan error, 1)
			go func() { shaken <- secured.Handshake() }()
			require.NoError(t, client.Handshake())
			require.NoError(t, <-shaken)
			c := newConn(newServer(t, command.Options{SlowTime: 1}), secured)
			secured.transport.conn = c
			if test.full {
				fill(t, ours)
			}
			require.NoError(t, secured.SetWriteDeadline(time.Unix(1, 0)))
			_, err := secured.Write([]byte("text"))
			if test.full {
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
				return
			}
			require.NoError(t, err)
			got := make([]byte, 4)
			_, err = io.ReadFull(client, got)
			assert.NoError(t, err)
			assert.Equal(t, "text", string(got))
		})
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

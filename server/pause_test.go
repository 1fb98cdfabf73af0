package server

import (
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
		require.NoError(t, sock.SetDeadline(time.Now().Add(time.Minute)))
	}
	return ours, theirs
}

// pausedWriter is a connection that is about to write text, and whose deadline has passed meanwhile, as it does while
// the process stands still.
func pausedWriter(t *testing.T, sock net.Conn, text string) *conn {
	t.Helper()
	o, err := Options{SlowTime: time.Hour}.withDefaults()
	require.NoError(t, err)
	s := &Server{options: o}
	s.counts.messages.Memory = &s.memory
	c := newConn(s, sock)
	queueText(c, text)
	c.outbox.RenewDeadline(sock, time.Hour) // the deadline that has passed is the one that holds
	require.NoError(t, sock.SetWriteDeadline(time.Unix(1, 0)))
	require.True(t, c.outbox.Dequeue(&c.writer.queue, sock))
	return c
}

// queueText hands text over as the core does.
func queueText(c *conn, text string) {
	p := outbox.NewUnflushed()
	p.Add(outbox.Fragment{Bytes: []byte(text)}, outbox.FrameInfo{Kind: outbox.KindOther})
	c.outbox.Add(p, 0)
}

// fill writes until the kernel takes no more for a peer that does not read.
func fill(t *testing.T, sock net.Conn) {
	t.Helper()
	raw, err := sock.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	for full := false; !full; {
		require.NoError(t, raw.Write(func(fd uintptr) bool {
			_, err := syscall.Write(int(fd), make([]byte, 64<<10))
			full = err != nil
			return true
		}))
	}
}

// A process that was stopped for longer than slow-time finds that the deadline has passed, and that the peer has long
// taken what the kernel held.
func TestAPeerThatHasRoomIsNotStalledByAPauseOfTheProcess(t *testing.T) {
	ours, theirs := socketPair(t)
	text := strings.Repeat("x", 3*maxReplyBytes) // more than one call to the kernel
	c := pausedWriter(t, ours, text)
	done := make(chan error, 1)
	go func() { done <- c.writeOut(&c.writer.queue) }()
	got := make([]byte, len(text))
	_, err := io.ReadFull(theirs, got)
	require.NoError(t, err)
	assert.Equal(t, text, string(got))
	assert.NoError(t, <-done)
}

func TestAPeerThatTakesNothingIsStalledAllTheSame(t *testing.T) {
	ours, _ := socketPair(t)
	fill(t, ours)
	c := pausedWriter(t, ours, "text")
	err := c.writeOut(&c.writer.queue)
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.Equal(t, CloseReasonWriteStalled, writeReason(err))
}

// What is left when drain-timeout is over gets one more call to the kernel, and no new deadline.
func TestThereIsOneWriteAfterTheLastDeadline(t *testing.T) {
	ours, theirs := socketPair(t)
	c := pausedWriter(t, ours, strings.Repeat("x", outbox.MaxWrite/2))
	c.outbox.Close(ours, -time.Hour)
	queueText(c, "more")
	err := c.writeOut(&c.writer.queue)
	if err != nil { // the kernel took a part of it
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	}
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
			c := newConn(&Server{options: Options{SlowTime: 1}}, secured)
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

func TestLateness(t *testing.T) {
	assert.Zero(t, lateness(time.Second, time.Second))
	assert.Zero(t, lateness(2*time.Second, time.Second), "a busy machine")
	assert.Equal(t, 79*time.Second, lateness(80*time.Second, time.Second))
}

// The time in which the sweeper did not come round counts neither for slow-time nor for auth-timeout.
func TestATickThatCameLateIsForgiven(t *testing.T) {
	const begun, later, pause = 100 * time.Second, 180 * time.Second, 79 * time.Second
	s := &Server{options: Options{SlowHard: 1 << 30, SlowSoft: 10, SlowTime: 60 * time.Second, AuthTimeout: 10 * time.Second}}
	s.access = new(accessControl)
	ours, _ := socketPair(t)

	slow := newConn(s, ours)
	queueText(slow, strings.Repeat("x", 11))
	require.Equal(t, CloseReasonNone, slow.sweepReason(begun), "the watch on the soft limit begins")
	stranger, newcomer, quiet := newConn(s, ours), newConn(s, ours), newConn(s, ours)
	stranger.unauthSince.Store(int64(begun))
	newcomer.unauthSince.Store(int64(later - time.Second)) // it came at the end of the pause
	for _, c := range []*conn{slow, stranger, newcomer, quiet} {
		s.conns.add(c)
	}

	s.sweepConns(later, pause)
	assert.EqualValues(t, later, s.clock.Load())
	assert.Equal(t, begun+pause, slow.softSince)
	assert.EqualValues(t, begun+pause, stranger.unauthSince.Load())
	assert.EqualValues(t, later, newcomer.unauthSince.Load(), "there is no time on top")
	assert.Zero(t, quiet.softSince+time.Duration(quiet.unauthSince.Load()), "a connection that is not watched stays so")

	assert.Equal(t, CloseReasonSlowSoft, slow.sweepReason(later+60*time.Second), "what comes after counts")
	assert.Equal(t, CloseReasonAuthTimeout, stranger.sweepReason(later+10*time.Second))
}

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
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/command"
)

// socketPair is the two ends of a Unix connection: once it is full, it stays so. A TCP socket may take more a moment later, when the
// kernel has moved bytes to the other end.
func socketPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	theirs, err = net.Dial("unix", l.Addr().String())
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
				require.NoError(t, secured.SetWriteDeadline(time.Time{}))
				fill(t, ours)
				require.NoError(t, secured.SetWriteDeadline(time.Unix(1, 0)))
				_, err := secured.Write([]byte("text"))
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
				return
			}
			require.NoError(t, secured.SetWriteDeadline(time.Unix(1, 0)))
			_, err := secured.Write([]byte("text"))
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

package cluster_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/tlsfiles"
)

// mutual is the TLS of a node with a certificate of an authority, which trusts another one or the same.
func mutual(t *testing.T, signs, trusted *harness.Authority) func() *tls.Config {
	dir, pair := t.TempDir(), signs.Valid(t, "node")
	f := tlsfiles.Files{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), ClientCA: filepath.Join(dir, "ca")}
	require.NoError(t, os.WriteFile(f.Cert, pair.Cert, 0o600))
	require.NoError(t, os.WriteFile(f.Key, pair.Key, 0o600))
	require.NoError(t, os.WriteFile(f.ClientCA, trusted.PEM, 0o600))
	s, err := tlsfiles.Open(f)
	require.NoError(t, err)
	return s.Mutual
}

// talk dials a network from another one, and sends something each way.
func talk(t *testing.T, from, to cluster.Network) error {
	t.Helper()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		c, err := to.Accept()
		if err != nil {
			return
		}
		b := make([]byte, 1)
		if _, err := c.Read(b); err == nil {
			_, _ = c.Write(b) // the other end reports what became of it
		}
		_ = c.Close()
	}()
	c, err := from.Dial(context.Background(), to.Addr().String())
	if err == nil {
		if _, err = c.Write([]byte("a line\n")); err == nil { // more than the head of a record of TLS
			_, err = c.Read(make([]byte, 1))
		}
		_ = c.Close()
	}
	require.NoError(t, to.Close())
	<-answered
	return err
}

func listen(t *testing.T, config func() *tls.Config) cluster.Network {
	l, err := cluster.Listen("127.0.0.1:0", config)
	require.NoError(t, err)
	return l
}

func TestMutualTLSBetweenNodes(t *testing.T) {
	own, other := harness.NewAuthority(t), harness.NewAuthority(t)
	node := func() cluster.Network { return listen(t, mutual(t, own, own)) }
	dialer := node()
	assert.NoError(t, talk(t, dialer, node()))

	var unknown x509.UnknownAuthorityError
	assert.ErrorAs(t, talk(t, dialer, listen(t, mutual(t, other, own))), &unknown, "a server that the authority has not signed")
	elsewhere, err := cluster.Listen("127.0.0.2:0", mutual(t, own, own)) // its certificate is for 127.0.0.1
	require.NoError(t, err)
	var wrongHost x509.HostnameError
	assert.ErrorAs(t, talk(t, dialer, elsewhere), &wrongHost, "a server with the certificate of another host")

	strange := listen(t, mutual(t, other, own))
	assert.ErrorContains(t, talk(t, strange, node()), "tls: unknown certificate authority", "a client that the authority has not signed")
	plain := listen(t, nil)
	assert.Error(t, talk(t, plain, node()), "a client without TLS")
	for _, l := range []cluster.Network{dialer, strange, plain} {
		require.NoError(t, l.Close())
	}
}

func TestTLSIsRequiredBeyondTheMachine(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "nonsense"} {
		_, err := cluster.Listen(address, nil)
		assert.ErrorIs(t, err, cluster.ErrNeedsTLS, address)
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0", "[::ffff:127.0.0.1]:0"} {
		l, err := cluster.Listen(address, nil)
		if err == nil {
			require.NoError(t, l.Close())
		}
		assert.NotErrorIs(t, err, cluster.ErrNeedsTLS, address)
	}
	l := listen(t, nil)
	_, err := l.Dial(context.Background(), "192.0.2.1:9")
	assert.ErrorIs(t, err, cluster.ErrNeedsTLS)
	require.NoError(t, l.Close())

	_, err = cluster.Listen("127.0.0.1:0", func() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS13} })
	assert.EqualError(t, err, "the TLS of nodes must require certificates of the nodes that dial: it needs the authority that signs them")
}

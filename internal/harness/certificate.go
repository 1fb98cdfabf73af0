package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Authority signs the certificates of a test.
type Authority struct {
	PEM  []byte // its own certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority returns a new authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{}
	a.PEM, a.cert, a.key = certify(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "an authority of tests"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	return a
}

// Pool returns a pool with the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Pair is a certificate and its private key in PEM.
type Pair struct{ Cert, Key []byte }

// Issue returns a certificate for a server on this machine, or at other addresses, or for a client.
func (a *Authority) Issue(t testing.TB, name string, until time.Time, others ...net.IP) Pair {
	t.Helper()
	cert, _, key := certify(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotAfter: until, DNSNames: []string{"localhost"},
		IPAddresses: append([]net.IP{net.IPv4(127, 0, 0, 1)}, others...), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return Pair{Cert: cert, Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
}

// Valid is Issue with 90 days to go: a certificate that ends sooner is a warning.
func (a *Authority) Valid(t testing.TB, name string, others ...net.IP) Pair {
	t.Helper()
	return a.Issue(t, name, time.Now().Add(90*24*time.Hour+time.Minute), others...)
}

// certify makes a certificate, signed by an authority, or by itself where that is nil.
func certify(t testing.TB, c *x509.Certificate, by *Authority) ([]byte, *x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	c.NotBefore = time.Now().Add(-48 * time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(100 * 24 * time.Hour)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), made, key
}

// TLS is the pair as package tls has it.
func (p Pair) TLS(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(p.Cert, p.Key)
	require.NoError(t, err)
	return c
}

// Write writes the pair into a folder. It replaces each file atomically, as renewal tools do.
func (p Pair) Write(t testing.TB, folder string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	WriteFile(t, cert, p.Cert)
	WriteFile(t, key, p.Key)
	return cert, key
}

// WriteFile puts a file in the place of another one at once, readable by its owner alone.
func WriteFile(t testing.TB, name string, text []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(name+".new", text, 0o600))
	require.NoError(t, os.Rename(name+".new", name))
}

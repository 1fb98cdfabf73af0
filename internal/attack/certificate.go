package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	number "math/big"
	"os"
	"path/filepath"
	"time"
)

// Certificate writes a certificate that signs itself to a directory, and its key, and returns the options of conch that name both.
func Certificate(dir string) (options []string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: number.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	write := func(name, kind string, der []byte) string {
		name = filepath.Join(dir, name)
		err = errors.Join(err, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return name
	}
	options = []string{"--tls-cert", write("tls.crt", "CERTIFICATE", der), "--tls-key", write("tls.key", "PRIVATE KEY", private)}
	return options, err
}

package check

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
)

// TLS is how to connect if the environment names an authority to trust, in CONCH_TLS_CA; nil for plain TCP.
func TLS() *tls.Config {
	name := os.Getenv("CONCH_TLS_CA")
	if name == "" {
		return nil
	}
	pem, err := os.ReadFile(name)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		fmt.Fprintf(os.Stderr, "no certificates in CONCH_TLS_CA=%s: %v\n", name, err)
		os.Exit(2)
	}
	return &tls.Config{RootCAs: pool}
}

// dial connects as the environment says.
func dial(address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: Patience}
	if config := TLS(); config != nil {
		return tls.DialWithDialer(dialer, "tcp", address, config)
	}
	return dialer.Dial("tcp", address)
}

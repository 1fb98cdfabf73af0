package tlsfiles

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/rs/zerolog"
)

// Files names what to read, all in PEM.
type Files struct {
	Cert     string // the certificate, and behind it those that lead to its authority
	Key      string // its private key, which only its owner may be able to read
	ClientCA string // certificates of authorities. If not empty, clients' certificates are verified against them
	Optional bool   // a client may come without a certificate; one that it has is verified all the same
}

// names are the files that there are.
func (f Files) names() []string {
	if f.ClientCA == "" {
		return []string{f.Cert, f.Key}
	}
	return []string{f.Cert, f.Key, f.ClientCA}
}

// loaded is what the files came to.
type loaded struct {
	config *tls.Config
	leaf   *x509.Certificate
	digest [sha256.Size]byte // of the contents: the key itself is kept by config alone
}

// load reads the files. The error is one line that names the file and says what to do.
func (f Files) load() (*loaded, error) {
	cert, err := read("tls-cert", f.Cert, nil)
	if err != nil {
		return nil, err
	}
	key, err := read("tls-key", f.Key, checkPrivate)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("tls-cert %s and tls-key %s: %w", f.Cert, f.Key, err)
	}
	l := &loaded{leaf: pair.Leaf, config: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	var authorities []byte
	if f.ClientCA != "" {
		if authorities, err = read("tls-client-ca", f.ClientCA, nil); err != nil {
			return nil, err
		}
		l.config.ClientCAs = x509.NewCertPool()
		if !l.config.ClientCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("tls-client-ca %s: there is no certificate in it", f.ClientCA)
		}
		l.config.ClientAuth = tls.RequireAndVerifyClientCert
		if f.Optional {
			l.config.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	l.digest = sha256.Sum256(bytes.Join([][]byte{cert, key, authorities}, []byte{0}))
	return l, nil
}

// maxFile is more than any file of certificates needs, and little enough for one that was named by mistake.
const maxFile = 4 << 20

// read reads a file, if check has nothing against it. What is checked is what is read: symbolic links, of which mounted
// secrets are made, are followed once, by opening.
func read(setting, name string, check func(fs.FileMode) error) ([]byte, error) {
	text, err := readChecked(name, check)
	if inner := new(fs.PathError); errors.As(err, &inner) {
		err = inner.Err // the rest would name the file once more
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", setting, name, err)
	}
	return text, nil
}

func readChecked(name string, check func(fs.FileMode) error) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err //nolint:wrapcheck // by read
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, err //nolint:wrapcheck // by read
	}
	if check != nil {
		if err := check(info.Mode()); err != nil {
			return nil, err
		}
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("it is over %d bytes long, which no certificate or key is", maxFile)
	}
	return text, err
}

// checkPrivate refuses a file that others than its owner can read.
func checkPrivate(mode fs.FileMode) error {
	if mode.Perm()&0o044 == 0 {
		return nil
	}
	return fmt.Errorf("it can be read by others than its owner (mode %04o): set mode 0600 (chmod 600)", mode.Perm())
}

// logLoaded tells what is in force now, and warns of a certificate that clients will refuse.
func (l *loaded) logLoaded(log *zerolog.Logger, now time.Time, text string) {
	left := l.leaf.NotAfter.Sub(now)
	level, warning := zerolog.InfoLevel, ""
	switch {
	case left <= 0:
		level, warning = zerolog.WarnLevel, "; but it has expired, and clients will refuse it"
	case now.Before(l.leaf.NotBefore):
		level, warning = zerolog.WarnLevel, "; but it is not valid yet, and clients will refuse it"
	}
	log.WithLevel(level).Str("certificate", l.leaf.Subject.String()).Strs("hosts", hosts(l.leaf)).
		Time("not_before", l.leaf.NotBefore).Time("not_after", l.leaf.NotAfter).Int("days_left", int(left/(24*time.Hour))).Msg(text + warning)
}

// hosts are what clients may call the server by.
func hosts(leaf *x509.Certificate) []string {
	all := append([]string{}, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

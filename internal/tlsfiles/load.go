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
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
)

// Files names the files, all in PEM.
type Files struct {
	Cert     string // the certificate, followed by its intermediates
	Key      string // its private key, readable by its owner only
	ClientCA string // authorities of clients' certificates; if not empty, clients are verified
	Optional bool   // a client may have no certificate; one that it has is verified
	Prefix   string // of the names of the settings, in errors
}

// names returns the configured files.
func (f Files) names() []string {
	if f.ClientCA == "" {
		return []string{f.Cert, f.Key}
	}
	return []string{f.Cert, f.Key, f.ClientCA}
}

// loaded is the content of the files. It is immutable.
type loaded struct {
	config *tls.Config
	leaf   *x509.Certificate
	digest [sha256.Size]byte // of the contents, to detect changes; only config holds the key itself
}

// load loads the files. The error is one line with the name of the file and a remedy.
func (f Files) load() (*loaded, error) {
	cert, err := read(f.Prefix+"tls-cert", f.Cert, nil)
	if err != nil {
		return nil, err
	}
	key, err := read(f.Prefix+"tls-key", f.Key, func(mode fs.FileMode) error { return checkPrivate(f.Key, mode) })
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%stls-cert %s and %stls-key %s: %w", f.Prefix, f.Cert, f.Prefix, f.Key, err)
	}
	l := &loaded{leaf: pair.Leaf, config: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	var authorities []byte
	if f.ClientCA != "" {
		if authorities, err = read(f.Prefix+"tls-client-ca", f.ClientCA, nil); err != nil {
			return nil, err
		}
		l.config.ClientCAs = x509.NewCertPool()
		if !l.config.ClientCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("%stls-client-ca %s: there is no certificate in it", f.Prefix, f.ClientCA)
		}
		l.config.ClientAuth = tls.RequireAndVerifyClientCert
		if f.Optional {
			l.config.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	l.digest = sha256.Sum256(bytes.Join([][]byte{cert, key, authorities}, []byte{0}))
	return l, nil
}

// maxFile is larger than any file of certificates, and bounds the read of a file named by mistake.
const maxFile = 4 << 20

// read reads a file if check accepts its mode. It checks the opened file, so that a symbolic link replaced in between, as
// mounted secrets do, cannot make check and read differ.
func read(setting, name string, check func(fs.FileMode) error) ([]byte, error) {
	text, err := readChecked(name, check)
	if inner := new(fs.PathError); errors.As(err, &inner) {
		err = inner.Err // the rest repeats the file name
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
	defer func() { _ = file.Close() }() // opened for reading only
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

// checkPrivate rejects a file that group or others can read. A credential of systemd may be readable by its group, because
// versions from 254 on make it so: only root and the service can enter its folder.
func checkPrivate(name string, mode fs.FileMode) error {
	open := mode.Perm() & 0o044
	if open == 0 || open == 0o040 && isCredential(name) {
		return nil
	}
	return fmt.Errorf("it can be read by others than its owner (mode %04o): set mode 0600 (chmod 600)", mode.Perm())
}

// isCredential reports whether a file is in the folder in which systemd passes credentials to a service.
func isCredential(name string) bool {
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	return folder != "" && filepath.Dir(name) == filepath.Clean(folder)
}

// MarshalZerologObject writes the certificate into a log line.
func (l *loaded) MarshalZerologObject(e *zerolog.Event) {
	e.Str("certificate", l.leaf.Subject.String()).Strs("hosts", hosts(l.leaf)).
		Time("not_before", l.leaf.NotBefore).Time("not_after", l.leaf.NotAfter).Int("days_left", int(time.Until(l.leaf.NotAfter)/(24*time.Hour)))
}

// warn logs that clients refuse the certificate, or will within warnBefore.
func (l *loaded) warn(log *zerolog.Logger, now time.Time) {
	left := l.leaf.NotAfter.Sub(now)
	switch {
	case left <= 0:
		log.Warn().EmbedObject(l).Msg("the TLS certificate has expired, and clients refuse it: renew it; a changed file is reloaded")
	case now.Before(l.leaf.NotBefore):
		log.Warn().EmbedObject(l).Msg("the TLS certificate is not valid yet, and clients refuse it: check the clock of this machine")
	case left <= warnBefore:
		log.Warn().EmbedObject(l).Msg("the TLS certificate ends within 30 days: renew it; a changed file is reloaded")
	}
}

// hosts returns the host names and addresses of the certificate.
func hosts(leaf *x509.Certificate) []string {
	all := append([]string{}, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

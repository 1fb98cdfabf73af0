package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/conchmq/conch/client"
)

// serverFlags are the flags of sub and pub that name the server and the credentials for it.
type serverFlags struct {
	url          string
	passwordFile string
	ca           string // files in PEM
	cert, key    string
}

// serverFlagOptions are the options for serverFlags. There is none for a password: other users see command lines.
func serverFlagOptions[T any](of func(*T) *serverFlags) []option[T] {
	url := textFlag("url", "URL", "the server",
		"conch://127.0.0.1:8889", func(o *T) *string { return &of(o).url })
	url.letter, url.fallback, url.env = "u", "conch://127.0.0.1:8889", true
	password := textFlag("password-file", "FILE", "the password is the first line of this file",
		"password", func(o *T) *string { return &of(o).passwordFile })
	password.env = true
	return []option[T]{
		url, password,
		textFlag("tls-ca", "FILE", "the authority that signs the server's certificate, in PEM; that of the system if not given", "ca.pem",
			func(o *T) *string { return &of(o).ca }),
		textFlag("tls-cert", "FILE", "the certificate to show to the server, in PEM", "cert.pem", func(o *T) *string { return &of(o).cert }),
		textFlag("tls-key", "FILE", "its private key, in PEM", "key.pem", func(o *T) *string { return &of(o).key }),
	}
}

// serverFlagsHelp is the part of both helps about them.
const serverFlagsHelp = `A URL is conch://user:password@host:port, conchs:// for TLS, redis:// or rediss:// for Redis, or unix:///path; all but
the host may be left out, and the host too. Others on this machine can see a command line: keep a password in CONCH_URL
or in a file.
`

// options makes the options of the client. A wrong URL is a usage error.
func (e *serverFlags) options(name string) (client.Options, error) {
	url := e.url
	if !strings.Contains(url, "://") { // host:port, or empty
		url = "conch://" + url
	}
	o, err := client.ParseURL(url)
	if err != nil {
		return o, subcommandUsageErr(name, "%s", strings.TrimPrefix(err.Error(), client.ErrInvalidOption.Error()+": "))
	}
	if o.TLS == nil && (e.ca != "" || e.cert != "" || e.key != "") {
		return o, subcommandUsageErr(name, "tls-ca, tls-cert and tls-key need a URL with TLS, e.g. conchs://127.0.0.1:8890")
	}
	if (e.cert == "") != (e.key == "") {
		return o, subcommandUsageErr(name, "tls-cert and tls-key belong together; give both")
	}
	if err := errors.Join(e.readPassword(&o), e.readTLS(o.TLS)); err != nil {
		return o, fmt.Errorf("%s: %w", name, err)
	}
	return o, nil
}

func (e *serverFlags) readPassword(o *client.Options) error {
	if e.passwordFile == "" {
		return nil
	}
	text, err := os.ReadFile(e.passwordFile)
	if err != nil {
		return fmt.Errorf("password-file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if o.Password = strings.TrimSuffix(line, "\r"); o.Password == "" {
		return fmt.Errorf("password-file: there is no password in the first line of %s", e.passwordFile)
	}
	return nil
}

func (e *serverFlags) readTLS(config *tls.Config) error {
	if e.ca != "" {
		pem, err := os.ReadFile(e.ca)
		if err != nil {
			return fmt.Errorf("tls-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls-ca: there is no certificate in %s", e.ca)
		}
	}
	if e.cert != "" {
		pair, err := tls.LoadX509KeyPair(e.cert, e.key)
		if err != nil {
			return fmt.Errorf("tls-cert and tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// explainDialError adds what to do to an error of connecting, if that is known.
func explainDialError(name string, o client.Options, err error) error {
	var refusal *client.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: no server listens on %s; start one, or give its address with --url", name, o.Addr)
	case errors.As(err, &refusal) && refusal.Code == client.CodeNoAuth:
		return fmt.Errorf("%s: %w; give the password with --password-file, or as conch://user:password@host:port in CONCH_URL", name, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

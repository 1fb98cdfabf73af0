package cli

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/client"
)

// serverFlags are the flags of all subcommands that name the server and the credentials for it.
type serverFlags struct {
	url          string
	passwordFile string
	ca           string // files in PEM
	cert, key    string
}

// flags are the flags for serverFlags. There is none for a password: other users see command lines.
func (f *serverFlags) flags(e *Env) []cli.Flag {
	return []cli.Flag{
		e.orVariable(option("url,u", "URL", "the server", "conch://127.0.0.1:8889", parsed(&f.url, anyText))),
		e.orVariable(option("password-file", "FILE", "the password is the first line of this file", "", parsed(&f.passwordFile, anyText))),
		option("tls-ca", "FILE", "the authority that signs the server's certificate, in PEM", "those of the system", parsed(&f.ca, anyText)),
		option("tls-cert", "FILE", "the certificate to show to the server, in PEM", "", parsed(&f.cert, anyText)),
		option("tls-key", "FILE", "its private key, in PEM", "", parsed(&f.key, anyText)),
	}
}

// serverText is the part of all helps about them.
const serverText = `A URL is conch://user:password@host:port, conchs:// for TLS, redis:// or rediss:// for Redis, or unix:///path. Each part
may be left out. Several hosts, as in conch://a:8889,b:8889, are the nodes of a cluster: the first that is ready is used, and
the next one when it fails. Other users of this machine can see a command line: keep a password in CONCH_URL or in a file.`

// options makes the options of the client. A wrong URL is a usage error.
func (f *serverFlags) options(name string) (client.Options, error) {
	url := f.url
	if !strings.Contains(url, "://") { // host:port, or empty
		url = "conch://" + url
	}
	o, err := client.ParseURL(url)
	if err != nil {
		return o, usageErr(name, "%s", strings.TrimPrefix(err.Error(), client.ErrInvalidOption.Error()+": "))
	}
	if o.TLS == nil && (f.ca != "" || f.cert != "" || f.key != "") {
		return o, usageErr(name, "tls-ca, tls-cert and tls-key need a URL with TLS, e.g. conchs://127.0.0.1:8890")
	}
	if (f.cert == "") != (f.key == "") {
		return o, usageErr(name, "tls-cert and tls-key belong together; give both")
	}
	if err := errors.Join(f.readPassword(&o), f.readTLS(o.TLS)); err != nil {
		return o, fmt.Errorf("%s: %w", name, err)
	}
	return o, nil
}

func (f *serverFlags) readPassword(o *client.Options) error {
	if f.passwordFile == "" {
		return nil
	}
	text, err := os.ReadFile(f.passwordFile)
	if err != nil {
		return fmt.Errorf("password-file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if o.Password = strings.TrimSuffix(line, "\r"); o.Password == "" {
		return fmt.Errorf("password-file: there is no password in the first line of %s", f.passwordFile)
	}
	return nil
}

func (f *serverFlags) readTLS(config *tls.Config) error {
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return fmt.Errorf("tls-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls-ca: there is no certificate in %s", f.ca)
		}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return fmt.Errorf("tls-cert and tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// addressText is the address of the server, or the list of several.
func addressText(o client.Options) string { return cmp.Or(strings.Join(o.Addresses, ","), o.Addr) }

const passwordHint = "give the password with --password-file, or as conch://user:password@host:port in CONCH_URL"

// explainDialError adds what to do to an error of connecting, if that is known.
func explainDialError(name string, o client.Options, err error) error {
	var refusal *client.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) && len(o.Addresses) == 0:
		return fmt.Errorf("%s: no server listens on %s; start one, or give its address with --url", name, o.Addr)
	case errors.As(err, &refusal) && refusal.Code == client.CodeNoAuth:
		return fmt.Errorf("%s: the server at %s requires a password (NOAUTH); %s", name, addressText(o), passwordHint)
	}
	return fmt.Errorf("%s: %w", name, explainCertificate(err))
}

// explainCertificate adds what to do about a certificate whose authority this machine does not know.
func explainCertificate(err error) error {
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		return fmt.Errorf("%w; give the certificate of its authority with --tls-ca", err)
	}
	return err
}

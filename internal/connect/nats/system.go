// Package nats reads from and writes to NATS: subjects, and streams of JetStream.
package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/conchmq/conch/internal/connect"
)

// System is the row of NATS.
var System = connect.System{
	Name: "nats", Schemes: []string{"nats", "nats+tls"},
	Source: newSource, Sink: newSink,
	Meta:      []string{"subject"},
	Positions: true, IDs: true, Headers: true,
}

// silence is the time after which a server is pinged; two pings without an answer end a connection.
const silence = 10 * time.Second

// answer bounds the wait for an answer of a server.
const answer = 30 * time.Second

// connection is one connection to the servers of an address. The engine makes the next one, so that a person can see that one ended.
type connection struct {
	*nats.Conn
	// failure is the last error that the server reported outside of a request, such as a subject without permission. Goroutines of the
	// library set it.
	failure atomic.Pointer[error]
	ended   chan struct{} // closed when the library has closed the connection
}

// dial connects. report is called by goroutines of the library with errors that end nothing.
func dial(ctx context.Context, a *connect.Address, report func(error)) (*connection, error) {
	c := &connection{ended: make(chan struct{})}
	options := nats.GetDefaultOptions()
	options.Servers, options.Name, options.AllowReconnect = servers(a), a.Name, false
	attempt := &dialer{ctx: ctx}
	options.PingInterval, options.MaxPingsOut, options.Timeout, options.CustomDialer = silence, 2, silence, attempt
	options.FlusherTimeout = silence // of a write
	options.ClosedCB = func(*nats.Conn) { close(c.ended) }
	options.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) {
		c.failure.Store(&err)
		report(err)
	}
	if a.URL.User != nil {
		password, set := a.URL.User.Password()
		if options.User, options.Password = a.URL.User.Username(), password; !set {
			options.User, options.Token = "", options.User
		}
	}
	conn, err := options.Connect()
	attempt.end()
	if err != nil {
		close(c.ended)
		return nil, markPermanent(err)
	}
	c.Conn = conn
	return c, nil
}

// servers are the URLs of an address, without users.
func servers(a *connect.Address) (urls []string) {
	scheme := "nats://"
	if a.URL.Scheme == "nats+tls" {
		scheme = "tls://"
	}
	for _, host := range a.Hosts {
		urls = append(urls, scheme+host)
	}
	if len(urls) == 0 {
		urls = append(urls, scheme+cmp.Or(a.URL.Host, "127.0.0.1"))
	}
	return urls
}

// dialer is the library's way to end an attempt by a context: the library itself waits for a server that keeps silent.
type dialer struct {
	ctx   context.Context
	stops []func() bool
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: silence}).DialContext(d.ctx, network, address)
	if err == nil {
		d.stops = append(d.stops, context.AfterFunc(d.ctx, func() { _ = conn.Close() })) // the library reports it
	}
	return conn, err //nolint:wrapcheck // names the address
}

// end takes the connection from the context.
func (d *dialer) end() {
	for _, stop := range d.stops {
		stop()
	}
}

// flush waits until the server has read all that was sent.
func (c *connection) flush(ctx context.Context) error {
	ctx, end := context.WithTimeout(ctx, answer) // the library demands one
	defer end()
	return c.FlushWithContext(ctx) //nolint:wrapcheck // by the caller
}

// close ends the connection and waits for the library's goroutines that call back.
func (c *connection) close() {
	c.Close()
	<-c.ended
}

// cause is why the connection ended.
func (c *connection) cause() error {
	err := c.LastError()
	if err == nil {
		err = nats.ErrConnectionClosed
	}
	return markPermanent(err)
}

// markPermanent marks errors that another attempt does not change.
func markPermanent(err error) error {
	for _, one := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrPermissionViolation, nats.ErrBadSubject,
		jetstream.ErrStreamNotFound, jetstream.ErrNotPullConsumer, jetstream.ErrJetStreamNotEnabled,
		jetstream.ErrJetStreamNotEnabledForAccount, jetstream.ErrNoStreamResponse,
	} {
		if errors.Is(err, one) {
			return &connect.Permanent{Err: err}
		}
	}
	return err
}

// checkSubject returns what NATS does not take as the subject of a message.
func checkSubject(subject string, template *connect.Template) error {
	wrong := ""
	switch first := subject[:min(1, len(subject))]; {
	case subject == "":
		wrong = "is empty"
	case strings.HasPrefix(subject, ".") || strings.HasSuffix(subject, ".") || strings.Contains(subject, ".."):
		wrong = "has an empty token"
	case (first == "$" || first == "_") && !strings.HasPrefix(template.String(), first):
		// A message must not reach what NATS itself reads: the API of JetStream, or the replies of others.
		wrong = "begins with " + first + ", and the template does not"
	default:
		return nil
	}
	return fmt.Errorf("the subject %.60q %s", subject, wrong)
}

// escape writes bytes that no token of a subject has, and %, as in URLs. A dot stays: it parts tokens.
func escape(text string) string {
	if !strings.ContainsFunc(text, isForbidden) {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; isForbidden(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isForbidden(c rune) bool { return c <= ' ' || c == 0x7f || c == '*' || c == '>' || c == '%' }

package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/sockio"
)

// Network is how nodes reach each other.
type Network interface {
	net.Listener
	Dial(ctx context.Context, address string) (net.Conn, error)
	// Check returns an error if Dial never takes the address.
	Check(address string) error
}

// tcp is the network of real nodes.
type tcp struct {
	net.Listener
	config func() *tls.Config
}

// ErrNeedsTLS is of an address beyond this machine without TLS: all that reaches it could read and change what the nodes have.
var ErrNeedsTLS = errors.New("nodes reach each other beyond this machine by mutual TLS only: give each one a certificate, its key, and the authority that signs those of all nodes")

// errNotMutual is of a TLS configuration that lets others in.
var errNotMutual = errors.New("the TLS of nodes must require certificates of the nodes that dial: it needs the authority that signs them")

// Listen listens on a TCP address. config returns the TLS of the next handshake, in both directions: see [tlsfiles.Source.Mutual]. It must require
// certificates. nil is a network without TLS, on this machine alone.
func Listen(address string, config func() *tls.Config) (Network, error) {
	if err := checkTLS(address, config); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if config != nil {
		l = tls.NewListener(l, &tls.Config{
			MinVersion:         tls.VersionTLS13,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return config(), nil },
		})
	}
	return &tcp{l, config}, nil
}

// checkTLS reports whether an address may be used with a configuration, or with none.
func checkTLS(address string, config func() *tls.Config) error {
	switch {
	case config == nil && !IsLoopback(address):
		return fmt.Errorf("%s: %w", address, ErrNeedsTLS)
	case config != nil && config().ClientAuth != tls.RequireAndVerifyClientCert:
		return errNotMutual
	}
	return nil
}

// IsLoopback reports whether an address is of this machine alone.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (t *tcp) Check(address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("expected HOST:PORT, as the other nodes dial it, not %q", address)
	}
	return checkTLS(address, t.config)
}

func (t *tcp) Dial(ctx context.Context, address string) (net.Conn, error) {
	if err := checkTLS(address, t.config); err != nil {
		return nil, err
	}
	if t.config != nil {
		return (&tls.Dialer{Config: t.config()}).DialContext(ctx, "tcp", address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// What a connection between nodes carries, by its first line.
const (
	carriesRaft      = "raft"
	carriesProposals = "proposals"
	carriesState     = "state"
	carriesStatus    = "status"
)

const (
	helloTimeout = 5 * time.Second
	maxHello     = 1024
)

// absentError is why a node could not be reached.
type absentError struct {
	name string
	error
}

func (e *absentError) Unwrap() error { return e.error }

// dial opens a connection to a node, which must be the one that is meant.
func (n *Node) dial(ctx context.Context, to Member, carries string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	c, err := n.options.Network.Dial(ctx, to.Address)
	if err != nil {
		return nil, &absentError{to.Name, err}
	}
	giveUpAfter(c, n.options.Election)
	deadline, _ := ctx.Deadline()
	answer, err := introduce(c, deadline, n.hello(to.Name, carries).String())
	if err == nil && answer != "OK" {
		switch word, why, _ := strings.Cut(answer, " "); word {
		case removedWord:
			n.removedBy.Store(&to.Name)
			err = &refusal{why}
		case "ERR":
			err = &refusal{why}
		default:
			err = errOther
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s at %s: %w", to.Name, to.Address, err), c.Close())
	}
	return c, nil
}

// errOther is of an answer that no node gives.
var errOther = errors.New("it is no node of a cluster")

// giveUpAfter lets a connection end once the kernel at its other end has been silent for two elections' times. A link that was down is used again
// only when the kernel sends again, which it does ever more rarely; a new connection is there at once.
func giveUpAfter(c net.Conn, election time.Duration) {
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	sockio.KeepAlive(c, election)
}

// refusal is why another node takes no connection.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

func introduce(c net.Conn, deadline time.Time, line string) (answer string, err error) {
	if err := c.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(line)); err != nil {
		return "", err
	}
	if answer, err = readLine(c); err != nil || answer != "OK" {
		return answer, err
	}
	return answer, c.SetDeadline(time.Time{})
}

// readLine reads a line and nothing behind it.
func readLine(c net.Conn) (string, error) {
	var line []byte
	for b := [1]byte{}; len(line) < maxHello; line = append(line, b[0]) {
		if _, err := c.Read(b[:]); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
	}
	return "", errOther
}

// serve accepts connections until the network is closed.
func (n *Node) serve() {
	for {
		c, err := n.options.Network.Accept()
		if err != nil {
			if n.ctx.Err() == nil {
				n.fail(fmt.Errorf("the listener of the cluster: %w", err))
			}
			return
		}
		n.conns.Go(func() { n.accept(c) })
	}
}

// accept reads the first line of another node, and gives the connection to what it carries.
func (n *Node) accept(c net.Conn) {
	stop := context.AfterFunc(n.ctx, func() { _ = c.Close() })
	h, err := n.answerHello(c)
	if err != nil {
		stop()
		word := "ERR"
		if none := (*noMember)(nil); errors.As(err, &none) {
			word = removedWord
		}
		_, _ = fmt.Fprintf(c, "%s %s\n", word, err) // within the deadline of the first line
		_ = c.Close()
		n.reportAs("refused: "+err.Error(), fmt.Errorf("refused %s: %w", c.RemoteAddr(), err))
		return
	}
	switch h.carries {
	case carriesRaft: // raft closes it
		n.layer.give(&ending{c, stop})
		return
	case carriesProposals:
		err = n.receiveProposals(c)
	case carriesState:
		err = n.sendState(c)
	case carriesStatus:
		err = n.writeStatus(c, h)
	}
	stop()
	_ = c.Close()
	if err != nil && n.ctx.Err() == nil {
		n.report(fmt.Errorf("the %s of %s ended: %w", h.carries, h.from, err))
	}
}

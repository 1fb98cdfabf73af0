package client

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// nodes are the addresses of servers that stand for one, such as the nodes of a cluster, in the order of the next attempts. All
// connections of a Client or of a Publisher share them, so that they go to the same server.
type nodes struct {
	mu        sync.Mutex // guards the fields below; never held across a blocking call
	addresses []string   // those of the options; the next attempt goes to the first
	named     string     // by a server, and not among them; it comes before them
}

// round returns the addresses for one attempt each.
func (n *nodes) round() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.named != "" {
		return append([]string{n.named}, n.addresses...)
	}
	return slices.Clone(n.addresses)
}

// several reports whether there is another server to go to. A conn of a test has no nodes.
func (n *nodes) several() bool { return n != nil && len(n.round()) > 1 }

// answered makes an address the first.
func (n *nodes) answered(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.firstLocked(addr)
}

// lost moves an address behind the others, if it is the first: of several connections to one server, only one changes the order.
func (n *nodes) lost(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.named == addr:
		n.named = ""
	case n.named == "" && n.addresses[0] == addr:
		n.addresses = append(n.addresses[1:], addr)
	}
}

// directTo makes an address the first that a server has named.
func (n *nodes) directTo(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.named = ""
	if !n.firstLocked(addr) {
		n.named = addr
	}
}

// firstLocked turns the list until an address is the first. It returns false for one that is not in the list. n.mu is held.
func (n *nodes) firstLocked(addr string) bool {
	i := slices.Index(n.addresses, addr)
	if i > 0 {
		n.addresses = slices.Concat(n.addresses[i:], n.addresses[:i])
	}
	return i >= 0
}

// dial connects to the first server that answers, with one attempt for each address. A refusal that would be the same at
// another server, such as a wrong password, ends the attempts.
func (o *Options) dial(ctx context.Context) (*conn, error) {
	var failures dialError
	for _, addr := range o.nodes.round() {
		c, err := o.dialAddress(ctx, addr)
		if err == nil {
			o.nodes.answered(addr)
			return c, nil
		}
		o.nodes.lost(addr)
		if isPermanent(err) || ctx.Err() != nil {
			return nil, err
		}
		failures = append(failures, err)
	}
	if len(failures) == 1 {
		return nil, failures[0]
	}
	return nil, failures
}

// dialError has why each of several servers could not be used.
type dialError []error

// Error returns all reasons in one line.
func (e dialError) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return "no server of several can be used: " + strings.Join(texts, "; ")
}

// Unwrap returns the reasons.
func (e dialError) Unwrap() []error { return e }

// leave makes the next connection go to another server, if there is one: that of this conn has failed, or refuses a request.
// It has an effect once. After a refusal, the conn may end much later, when its server is the next one again.
func (c *conn) leave() {
	if c.nodes != nil && c.left.CompareAndSwap(false, true) { // nil in a test
		c.nodes.lost(c.addr)
	}
}

// isUnready reports whether a server refuses because it starts or has no majority; another one may be ready.
func isUnready(err error) bool {
	var serverErr *Error
	return errors.As(err, &serverErr) && (serverErr.Code == CodeLoading || serverErr.Code == CodeClusterDown)
}

// maxAddr is the length of the longest host name that there is, with a port.
const maxAddr = 253 + len(":65535")

// isHostPort reports whether a server has named an address that can be connected to.
func isHostPort(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	number, wrong := strconv.ParseUint(port, 10, 16)
	return err == nil && wrong == nil && host != "" && number > 0 && len(addr) <= maxAddr
}

// checkAddr returns an error for an address that is neither host:port nor unix:///path.
func checkAddr(addr string) error {
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		if path == "" {
			return invalidOption("no path in the address %q", addr)
		}
	} else if _, _, err := net.SplitHostPort(addr); err != nil {
		return invalidOption("%q is not host:port: %v", addr, err)
	}
	return nil
}

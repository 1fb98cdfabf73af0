package daemon

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/tlsfiles"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// listeners are the open listeners; one that is not configured is nil.
type listeners struct {
	plain  net.Listener
	secure net.Listener
	files  *tlsfiles.Source // of secure and https
	unix   net.Listener
	http   net.Listener
	https  net.Listener
	// nodeFiles are those of nodes among each other; their listener belongs to the node.
	nodeFiles *tlsfiles.Source
}

// openListeners opens every listener of the settings. If one fails, it closes the others.
func openListeners(c *config.Config) (_ *listeners, err error) {
	l := &listeners{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if c.Listen != "" {
		if l.plain, err = listen(c.Listen, "conch "); err != nil {
			return nil, err
		}
	}
	if c.HasTLS() {
		if l.files, err = tlsfiles.Open(c.TLSFiles); err != nil {
			return nil, err
		}
	}
	if files, ok := c.Cluster.TLSFiles(); ok {
		if l.nodeFiles, err = tlsfiles.Open(files); err != nil {
			return nil, err
		}
	}
	if c.TLSListen != "" {
		if l.secure, err = listen(c.TLSListen, "conch --tls-listen "); err != nil {
			return nil, err
		}
	}
	if c.UnixSocket != "" {
		if l.unix, err = listenUnix(c.UnixSocket, c.UnixMode); err != nil {
			return nil, err
		}
	}
	if c.HTTP != "" {
		if l.http, err = listen(c.HTTP, "conch --http "); err != nil {
			return nil, err
		}
	}
	if c.HTTPS != "" {
		if l.https, err = listen(c.HTTPS, "conch --https "); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// serve hands the listeners over to the servers, which close them.
func (l *listeners) serve(srv *server.Server, httpServer *web.Server) {
	if l.plain != nil {
		srv.Serve(l.plain)
	}
	if l.secure != nil {
		srv.ServeTLS(l.secure, l.files.Config())
	}
	if l.unix != nil {
		srv.Serve(l.unix)
	}
	if l.http != nil {
		httpServer.Serve(l.http)
	}
	if l.https != nil {
		httpServer.ServeTLS(l.https, l.files.Config())
	}
}

// follow reloads the certificates when their files change, until stop is called.
func (l *listeners) follow(log zerolog.Logger) (stop func()) {
	sources := l.sources()
	for _, s := range sources {
		s.Follow(log)
	}
	return func() {
		for _, s := range sources {
			s.Close()
		}
	}
}

// sources are the certificates that are in use.
func (l *listeners) sources() (all []*tlsfiles.Source) {
	for _, s := range []*tlsfiles.Source{l.files, l.nodeFiles} {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

// close closes listeners that the server never got; their errors do not matter.
func (l *listeners) close() {
	for _, one := range []net.Listener{l.plain, l.secure, l.unix, l.http, l.https} {
		if one != nil {
			_ = one.Close()
		}
	}
}

// describe logs the addresses in use: the settings may have port 0.
func (l *listeners) describe(line *zerolog.Event) {
	if l.plain != nil {
		line.Stringer("address", l.plain.Addr())
	}
	if l.secure != nil {
		line.Stringer("tls-address", l.secure.Addr())
	}
	if l.unix != nil {
		line.Stringer("unix-socket", l.unix.Addr())
	}
	if l.http != nil {
		line.Stringer("http", l.http.Addr())
	}
	if l.https != nil {
		line.Stringer("https", l.https.Addr())
	}
}

// flagURL is the flag with which a subcommand reaches this conch, with a blank behind it; empty if the default does. Over
// HTTP alone no subcommand does.
func (l *listeners) flagURL() (flag string, ok bool) {
	if l.plain == nil && l.secure == nil {
		if l.unix == nil {
			return "", false
		}
		return "--url unix://" + l.unix.Addr().String() + " ", true
	}
	scheme, listener := "conch", l.plain
	if listener == nil {
		scheme, listener = "conchs", l.secure
	}
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return "", true
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() || host == "" {
		host = "127.0.0.1"
	}
	address := net.JoinHostPort(host, port)
	if scheme == "conch" && address == "127.0.0.1:8889" {
		return "", true
	}
	return "--url " + scheme + "://" + address + " ", true
}

// listen opens a port. Its error has advice: command is the start of a command line with another address.
func listen(address, command string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err == nil {
		return l, nil
	}
	reason := err
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		reason = errno // without the name of the system call
	}
	if dns := new(net.DNSError); errors.As(err, &dns) {
		reason = dns
	}
	advice := "choose another address, e.g. " + command + suggestAddress(address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "another conch (or another program) has it; " + advice
	case errors.Is(err, syscall.EACCES):
		advice = "ports under 1024 are often reserved; " + advice
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		advice = "this machine has no such address; choose another one, e.g. " + command + "127.0.0.1:8889"
	}
	return nil, fmt.Errorf("cannot listen on %s: %w; %s", address, reason, advice)
}

// suggestAddress is an address that may be free: the next port, or 8889.
func suggestAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	n, err2 := strconv.Atoi(port)
	if err != nil || err2 != nil || n < 1024 || n == 65535 {
		return net.JoinHostPort(host, "8889")
	}
	return net.JoinHostPort(host, strconv.Itoa(n+1))
}

package web

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/protocol"
)

// admit refuses a request before it is looked at: protected mode, a foreign host or origin, too
// many connections.
func (x *exchange) admit() error {
	if err := x.checkProtected(); err != nil {
		return err
	}
	if err := x.checkHost(); err != nil {
		return err
	}
	if err := x.checkOrigin(); err != nil {
		return err
	}
	most := x.server.service.Options().MaxConnections
	if x.server.sockets.count() > most || x.server.service.Counts.Open.Load() >= int64(most) {
		return x.reject(command.CloseReasonMaxConnections, &problem{Status: http.StatusServiceUnavailable, Detail: "max number of clients reached"})
	}
	return nil
}

// maxOpening is how many requests for each processor may open their connections at once. Each has two goroutines, and visits the core
// twice: with hundreds of them at work, readers of other clients wait for their turn.
const maxOpening = 4

// startOpening waits until the request may open its connection. The caller gives its place back by the function. One that the client has
// broken off opens none.
func (x *exchange) startOpening() (end func(), err error) {
	select {
	case x.server.opening <- struct{}{}:
		return func() { <-x.server.opening }, nil
	case <-x.request.Context().Done():
		return nil, errEnded
	}
}

// reject counts and logs a refusal as that of a connection, which ends with the answer.
func (x *exchange) reject(reason command.CloseReason, p *problem) error {
	s := x.server.service
	s.Counts.Accepted.Add(1)
	s.Counts.Closes[reason].Add(1)
	s.Options().Log.Debug().Stringer("peer", x.remote).Stringer("reason", reason).
		Int("max-connections", s.Options().MaxConnections).Msg("connection refused")
	x.writer.Header().Set("Connection", "close")
	return p
}

// checkProtected refuses other machines in protected mode. A proxy on this machine hides them, so
// its header counts as another machine.
func (x *exchange) checkProtected() error {
	if !x.server.service.IsProtected() {
		return nil
	}
	forwarded := x.request.Header["Forwarded"] != nil || x.request.Header["X-Forwarded-For"] != nil
	if x.remote.TCP.Addr().IsLoopback() && !forwarded {
		return nil
	}
	return x.reject(command.CloseReasonProtected, &problem{
		Status: http.StatusForbidden, Code: string(protocol.CodeDenied), Detail: "conch is running in protected mode and serves this machine " +
			"only. To serve others, set a password with --requirepass or --aclfile, or start it with --protected-mode=false behind a firewall",
	})
}

// checkHost refuses a host name that any name server could have made up, as long as no password
// is needed: a page of such a host would reach conch as its own (DNS rebinding).
func (x *exchange) checkHost() error {
	if !x.server.service.IsOpen() {
		return nil
	}
	host := hostOf(x.request.Host)
	if host == "" || isLocalName(host) || // HTTP/1.0 has no host, and no browser uses it
		slices.ContainsFunc(x.server.options.Origins, func(origin string) bool {
			u, err := url.Parse(origin)
			return err == nil && strings.EqualFold(u.Hostname(), host)
		}) {
		return nil
	}
	return &problem{Status: http.StatusMisdirectedRequest, Detail: "the host is unknown: use an address or localhost, name the host with " +
		"--http-origin, or set a password"}
}

// hostOf is a host without its port.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// isLocalName reports whether no name server of another domain can have made up a host: an
// address, localhost, or a name without a dot.
func isLocalName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.ToLower(host)
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost")
}

// checkOrigin refuses pages of another origin, and answers those of --http-origin with the
// headers of CORS. Browsers alone send an origin.
func (x *exchange) checkOrigin() error {
	h := x.writer.Header()
	h.Add("Vary", "Origin")
	origin := x.request.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	if !x.isOwnOrigin(origin) && !x.server.allowsOrigin(origin) {
		return &problem{Status: http.StatusForbidden, Detail: "pages of this origin may not use conch; name it with --http-origin"}
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "ETag")
	if x.request.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
		h.Set("Access-Control-Allow-Headers", x.allowedHeaders())
		h.Set("Access-Control-Max-Age", "600")
	}
	return nil
}

// isOwnOrigin reports whether an origin is that of the request's host.
func (x *exchange) isOwnOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, x.request.Host)
}

// allowedHeaders are the headers that a page may send: there is no way to allow all with one prefix.
func (x *exchange) allowedHeaders() string {
	allowed := "Authorization, Content-Type, Last-Event-ID, If-Match, If-None-Match, Idempotency-Key, Conch-Fence"
	for name := range strings.SplitSeq(x.request.Header.Get("Access-Control-Request-Headers"), ",") {
		name = strings.TrimSpace(name)
		if len(name) > len(headerPrefix) && strings.EqualFold(name[:len(headerPrefix)], headerPrefix) {
			allowed += ", " + name
		}
	}
	return allowed
}

func (s *Server) allowsOrigin(origin string) bool {
	return slices.ContainsFunc(s.options.Origins, func(o string) bool { return o == "*" || strings.EqualFold(o, origin) })
}

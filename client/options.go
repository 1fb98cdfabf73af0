package client

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"
)

// Options describe the server and the connection. The zero value connects to a conch on this machine. Options are
// copied when used; what they point to must not change afterwards.
type Options struct {
	// Addr is host:port, or unix:///path for a Unix socket. Default 127.0.0.1:8889.
	Addr string

	// Addresses are those of several servers that stand for one, in place of Addr: the nodes of a cluster. Connections go to
	// the first that answers. When it fails, or cannot serve, all go to the next one.
	Addresses []string

	// Username and Password are sent if either is set. A password without a name is that of the user default.
	Username, Password string

	// TLS enables TLS. The server's certificate is verified for the host of its address, unless ServerName is set.
	TLS *tls.Config

	// Sequences requests the sequence number of each message. Servers without them, such as Redis, are used all the
	// same: all sequence numbers are then 0.
	Sequences bool

	// DialTimeout bounds connecting, TLS and handshake together, with each of several addresses. Default 10 s, and 3 s for
	// several.
	DialTimeout time.Duration

	// MinBackoff and MaxBackoff bound the pause before a reconnect. Before attempt n it is a random time up to
	// MinBackoff doubled n times, at most MaxBackoff. An attempt visits all addresses. Defaults 100 ms and 10 s.
	MinBackoff, MaxBackoff time.Duration

	// PingAfter is the silence after which a PING is sent; after as much silence again, the connection is lost. Default
	// 30 s. Negative: no PING.
	PingAfter time.Duration

	// MaxMessage bounds the bytes of one message or any other text of a server. Default 512 MiB, the maximum of Redis.
	// Memory is allocated as bytes arrive, never for an announced length.
	MaxMessage int

	// Buffer is how many messages, of any size, a Subscription reads ahead. When it is full, nothing more is read from
	// the server, which applies its policy for slow consumers. Default 256.
	Buffer int

	// Dialer makes the connection in place of package net, for tests or proxies. TLS runs on top of it.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

	nodes *nodes // made of Addr or Addresses

	// random draws from [0, n). Tests replace it.
	random func(n int64) int64
}

const (
	defaultAddr = "127.0.0.1:8889"
	unixPrefix  = "unix://"
)

// withDefaults replaces zero values and rejects invalid ones. Each exported function that takes Options calls it first;
// the rest of the package relies on that.
func (o Options) withDefaults() (Options, error) {
	defaultTo(&o.Addr, defaultAddr)
	if len(o.Addresses) == 0 {
		o.Addresses = []string{o.Addr}
	}
	if len(o.Addresses) > 1 {
		defaultTo(&o.DialTimeout, 3*time.Second)
	}
	defaultTo(&o.DialTimeout, 10*time.Second)
	defaultTo(&o.MinBackoff, 100*time.Millisecond)
	defaultTo(&o.MaxBackoff, max(10*time.Second, o.MinBackoff))
	defaultTo(&o.PingAfter, 30*time.Second)
	defaultTo(&o.MaxMessage, 512<<20)
	defaultTo(&o.Buffer, 256)
	if o.Dialer == nil {
		o.Dialer = new(net.Dialer).DialContext
	}
	if o.random == nil {
		o.random = rand.Int64N
	}
	for _, addr := range o.Addresses {
		if err := checkAddr(addr); err != nil {
			return o, err
		}
	}
	o.nodes = &nodes{addresses: slices.Clone(o.Addresses)}
	switch {
	case o.DialTimeout < 0:
		return o, invalidOption("DialTimeout must not be negative: %s", o.DialTimeout)
	case o.MinBackoff < 0 || o.MaxBackoff < o.MinBackoff:
		return o, invalidOption("MinBackoff %s and MaxBackoff %s are not a range", o.MinBackoff, o.MaxBackoff)
	case o.MaxMessage < 0:
		return o, invalidOption("MaxMessage must not be negative: %d", o.MaxMessage)
	case o.Buffer < 0:
		return o, invalidOption("Buffer must not be negative: %d", o.Buffer)
	}
	return o, nil
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// dialTarget returns the arguments of the Dialer.
func dialTarget(addr string) (network, address string) {
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		return "unix", path
	}
	return "tcp", addr
}

// serverName returns the name for which the certificate of an address is verified.
func serverName(addr string) string {
	if strings.HasPrefix(addr, unixPrefix) {
		return "localhost"
	}
	host, _, _ := net.SplitHostPort(addr) // checked by withDefaults
	if host == "" {
		return "localhost"
	}
	return host
}

package client

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// Options say where a server is and how to speak to it. The zero value speaks to a conch on this machine. A value is
// copied when it is used; what it points to must not change afterwards.
type Options struct {
	// Addr is host:port, or unix:///path for a Unix socket. Default 127.0.0.1:8889.
	Addr string

	// Username and Password are sent if either is set. A password alone is that of the user default.
	Username, Password string

	// TLS switches it on. The name to verify is the host of Addr, unless ServerName is set.
	TLS *tls.Config

	// Sequences asks for the number of each message in the one order. A server that has none, such as Redis, is used
	// without: then all numbers are 0.
	Sequences bool

	// DialTimeout bounds connecting, TLS and the greeting together. Default 10 s.
	DialTimeout time.Duration

	// MinBackoff and MaxBackoff bound the pause before a lost connection is made anew: before attempt n it is a random
	// time up to MinBackoff doubled n times, and up to MaxBackoff. Defaults 100 ms and 10 s.
	MinBackoff, MaxBackoff time.Duration

	// PingAfter is how long a server may be silent before it is asked whether it is still there; when it stays silent as
	// long again, the connection is lost. Default 30 s. Negative: it is never asked.
	PingAfter time.Duration

	// MaxMessage is how many bytes one message, or any other text of a server, may have. Default 512 MiB, the most that
	// Redis sends. Memory is taken as bytes arrive, never because a length was announced.
	MaxMessage int

	// Buffer is how many messages a Subscription has ready for its reader. When they are that many, nothing more is read
	// from the server, and what it then does with a subscriber that is too slow is the server's affair. It is a number of
	// messages, whatever their size. Default 256.
	Buffer int

	// Dialer makes the connection in place of package net; for tests, proxies and the like. TLS comes on top of it.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

	// random draws from [0, n). Tests set it.
	random func(n int64) int64
}

const (
	defaultAddr = "127.0.0.1:8889"
	unixPrefix  = "unix://"
)

// withDefaults fills in what is zero and refuses what makes no sense. Whoever takes Options from a caller calls it
// first; everything else relies on that.
func (o Options) withDefaults() (Options, error) {
	defaultTo(&o.Addr, defaultAddr)
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
	if path, ok := strings.CutPrefix(o.Addr, unixPrefix); ok {
		if path == "" {
			return o, invalidOption("no path in the address %q", o.Addr)
		}
	} else if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return o, invalidOption("%q is not host:port: %v", o.Addr, err)
	}
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

// dialTarget is what the Dialer is called with.
func (o *Options) dialTarget() (network, addr string) {
	if path, ok := strings.CutPrefix(o.Addr, unixPrefix); ok {
		return "unix", path
	}
	return "tcp", o.Addr
}

// serverName is the name that a certificate is held against.
func (o *Options) serverName() string {
	if strings.HasPrefix(o.Addr, unixPrefix) {
		return "localhost"
	}
	host, _, _ := net.SplitHostPort(o.Addr) // withDefaults has looked
	if host == "" {
		return "localhost"
	}
	return host
}

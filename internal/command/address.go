package command

import (
	"net/netip"
	"strings"
)

// Address is one end of a connection, as CLIENT LIST, MONITOR and the log show it. The zero
// Address prints as nothing.
type Address struct {
	TCP  netip.AddrPort // valid for TCP only
	Unix string         // the path of the socket; the client's end has no name, so both ends show it
	Text string         // of an end that is neither
}

// String is the address in CLIENT LIST, as in Redis: a Unix socket has the port 0.
func (a Address) String() string { return string(a.append(nil)) }

// append appends the text of the address. A TCP address takes no allocation.
func (a Address) append(b []byte) []byte {
	switch {
	case a.TCP.IsValid():
		return a.TCP.AppendTo(b)
	case a.Unix != "":
		return append(append(b, a.Unix...), ":0"...)
	}
	return append(b, a.Text...)
}

// isLocal reports whether the address is one of this machine.
func (a Address) isLocal() bool {
	return a.Unix != "" || a.TCP.IsValid() && a.TCP.Addr().Unmap().IsLoopback()
}

// monitor is the address in MONITOR. Its form differs from CLIENT LIST, in Redis too.
func (a Address) monitor() string {
	if a.Unix != "" {
		return "unix:" + a.Unix
	}
	return a.String()
}

// ParseAddress reads an address as a client writes it.
//
// CLIENT KILL compares the result with the addresses of connections, without formatting each.
// An address in another spelling than conch's own equals none.
func ParseAddress(text string) Address {
	if a, err := netip.ParseAddrPort(text); err == nil && a.String() == text {
		return Address{TCP: a}
	}
	if path, ok := strings.CutSuffix(text, ":0"); ok && path != "" {
		return Address{Unix: path}
	}
	return Address{Text: text}
}

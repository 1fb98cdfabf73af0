package command

import (
	"net/netip"
	"strings"
)

// Address is one end of a connection, as CLIENT LIST, MONITOR and the log show it. The zero Address is shown as nothing.
type Address struct {
	TCP  netip.AddrPort // not valid for another kind
	Unix string         // the path of the socket; a peer's own end has no name, so both ends show this
	Text string         // of an end that is neither
}

// String is the address as Redis' CLIENT LIST shows it: a Unix socket has the port 0.
func (a Address) String() string { return string(a.append(nil)) }

// append appends the text of the address, which for TCP needs no memory.
func (a Address) append(b []byte) []byte {
	switch {
	case a.TCP.IsValid():
		return a.TCP.AppendTo(b)
	case a.Unix != "":
		return append(append(b, a.Unix...), ":0"...)
	}
	return append(b, a.Text...)
}

// monitor is the address as MONITOR shows it: other than CLIENT LIST does, in Redis too.
func (a Address) monitor() string {
	if a.Unix != "" {
		return "unix:" + a.Unix
	}
	return a.String()
}

// ParseAddress reads an address as a client writes it, to be compared with those of connections without formatting them.
// What is not spelt as conch spells it is equal to none.
func ParseAddress(text string) Address {
	if a, err := netip.ParseAddrPort(text); err == nil && a.String() == text {
		return Address{TCP: a}
	}
	if path, ok := strings.CutSuffix(text, ":0"); ok && path != "" {
		return Address{Unix: path}
	}
	return Address{Text: text}
}

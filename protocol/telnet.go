package protocol

// Bytes of the telnet protocol, RFC 854.
const (
	iac  = 0xff // what follows is a command, or another iac that stands for the byte itself
	dont = 0xfe // dont, do, wont and will (0xfb to 0xfe) take one more byte
	will = 0xfb
	sb   = 0xfa // a subnegotiation, up to iac se
	se   = 0xf0
)

// telnet drops telnet's own sequences from a stream of bytes. It keeps its place between reads. The bytes of a
// sequence are never taken for text: a window size (RFC 1073) may well hold the byte that ends a line.
type telnet struct{ state telnetState }

type telnetState uint8

const (
	telnetText   telnetState = iota
	telnetIAC                // after iac
	telnetOption             // after iac and one of will, wont, do, dont
	telnetSub                // inside a subnegotiation
	telnetSubIAC             // after iac inside a subnegotiation
)

// text feeds one byte and tells whether it is text.
func (t *telnet) text(c byte) bool {
	switch t.state {
	case telnetText:
		if c == iac {
			t.state = telnetIAC
			return false
		}
		return true
	case telnetIAC:
		switch {
		case c == iac:
			t.state = telnetText
			return true
		case c == sb:
			t.state = telnetSub
		case c >= will && c <= dont:
			t.state = telnetOption
		default:
			t.state = telnetText
		}
	case telnetOption:
		t.state = telnetText
	case telnetSub:
		if c == iac {
			t.state = telnetSubIAC
		}
	case telnetSubIAC:
		if c == se {
			t.state = telnetText
		} else {
			t.state = telnetSub
		}
	}
	return false
}

package protocol

// Bytes of the telnet protocol, RFC 854.
const (
	iac  = 0xff // introduces a command; doubled, it is the byte itself
	dont = 0xfe // dont, do, wont and will (0xfb to 0xfe) have one more byte
	will = 0xfb
	sb   = 0xfa // a subnegotiation, up to iac se
	se   = 0xf0
)

// telnet drops telnet sequences from a byte stream and keeps its state between reads. Bytes of a sequence are never
// text: a window size (RFC 1073) may contain the byte that ends a line.
type telnet struct{ state telnetState }

type telnetState uint8

const (
	telnetText   telnetState = iota
	telnetIAC                // after iac
	telnetOption             // after iac and one of will, wont, do, dont
	telnetSub                // inside a subnegotiation
	telnetSubIAC             // after iac inside a subnegotiation
)

// text advances the state by one byte and reports whether the byte is text.
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

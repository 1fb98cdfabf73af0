package protocol

import (
	"bytes"
	"encoding/binary"
)

const hexDigits = "0123456789abcdef"

// EscapeMessage appends a message as it is shown in a line. Nothing that a publisher sends can start another line or
// drive a terminal: CR and LF are shown as \r and \n; the other C0 controls but TAB, DEL, and 0xFF (which telnet would
// take for the start of a command) as \xNN. It is for eyes, and not reversible: a backslash stands as it is.
func EscapeMessage(dst, message []byte) []byte {
	start := printablePrefixLen(message)
	dst = append(dst, message[:start]...)
	for i := start; i < len(message); i++ {
		if c := message[i]; !isPrintable(c) {
			dst = append(dst, message[start:i]...)
			dst = appendEscaped(dst, c)
			start = i + 1
		}
	}
	return append(dst, message[start:]...)
}

// printablePrefixLen is how much of message is surely shown as it is, looked at eight bytes at a time: a line of 64 bytes
// without anything to show otherwise is written in two thirds of the time.
func printablePrefixLen(message []byte) (n int) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; len(message)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(message[n:])
		control := (w - ones*' ') &^ w           // the top bit of a byte under 0x20; borrows only ever add suspects
		del := w ^ ones*0x7f                     // 0 where the byte is DEL
		ff := ^w                                 // 0 where the byte is 0xff
		del, ff = (del-ones)&^del, (ff-ones)&^ff // the top bit of a byte that is 0
		if (control|del|ff)&tops != 0 {
			break
		}
	}
	return n
}

// EscapedLen is how many bytes EscapeMessage appends.
func EscapedLen(message []byte) (n int) {
	n = printablePrefixLen(message)
	for rest := message[n:]; len(rest) > 0; {
		for _, c := range rest[:min(len(rest), 8)] {
			n += int(escapedLens[c])
		}
		rest = rest[min(len(rest), 8):]
		plain := printablePrefixLen(rest)
		n, rest = n+plain, rest[plain:]
	}
	return n
}

// escapedLens is the length of each byte as it is shown.
var escapedLens = func() (lengths [256]uint8) {
	for c := range lengths {
		lengths[c] = 1
		if !isPrintable(byte(c)) {
			lengths[c] = uint8(len(appendEscaped(nil, byte(c)))) //nolint:gosec // 2 or 4
		}
	}
	return lengths
}()

// EscapeTopic is the same for a topic or a pattern, which in a line ends at a space: spaces and backslashes are shown as
// \x20 and \x5c.
func EscapeTopic(dst, topic []byte) []byte {
	for _, c := range topic {
		if isPrintable(c) && c != ' ' && c != '\\' {
			dst = append(dst, c)
		} else {
			dst = appendEscaped(dst, c)
		}
	}
	return dst
}

// EscapeName is the same for what was subscribed to: behind ` WHERE ` stands a predicate, which is shown as a message is.
func EscapeName(dst, name []byte) []byte {
	topic, predicate, found := bytes.Cut(name, []byte(" "+whereKeyword+" "))
	dst = EscapeTopic(dst, topic)
	if found {
		dst = EscapeMessage(append(append(append(dst, ' '), whereKeyword...), ' '), predicate)
	}
	return dst
}

func isPrintable(c byte) bool { return c >= ' ' && c != 0x7f && c != iac || c == '\t' }

func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '\r':
		return append(dst, `\r`...)
	case '\n':
		return append(dst, `\n`...)
	}
	return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
}

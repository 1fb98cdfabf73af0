package protocol

import (
	"bytes"
	"encoding/binary"
)

const hexDigits = "0123456789abcdef"

// EscapeMessage appends a message escaped for a line, so that a publisher can neither start another line nor control a
// terminal. CR and LF become \r and \n; the other C0 controls except TAB, DEL, and 0xFF (telnet's IAC) become \xNN. The
// escape is not reversible: a backslash stays a backslash.
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

// printablePrefixLen is the length of a prefix of message that needs no escape, a multiple of eight: it tests eight bytes
// at a time, which saves a third of the time for a line of 64 printable bytes.
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

// EscapedLen is the number of bytes that EscapeMessage appends.
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

// escapedLens is the escaped length of each byte.
var escapedLens = func() (lengths [256]uint8) {
	for c := range lengths {
		lengths[c] = 1
		if !isPrintable(byte(c)) {
			lengths[c] = uint8(len(appendEscaped(nil, byte(c)))) //nolint:gosec // 2 or 4
		}
	}
	return lengths
}()

// EscapeTopic is EscapeMessage for a topic or a pattern, which ends at a space in lines: a space becomes \x20 and a
// backslash \x5c.
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

// EscapeName is EscapeTopic for the name of a subscription: what follows ` FROM `, ` LAST ` or ` WHERE ` is escaped as a
// message.
func EscapeName(dst, name []byte) []byte {
	end := len(name)
	for _, keyword := range []string{fromKeyword, lastKeyword, whereKeyword} {
		if i := bytes.Index(name[:end], []byte(" "+keyword+" ")); i >= 0 {
			end = i
		}
	}
	return EscapeMessage(EscapeTopic(dst, name[:end]), name[end:])
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

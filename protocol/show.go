package protocol

import (
	"bytes"
	"encoding/binary"
)

const hexDigits = "0123456789abcdef"

// ShowMessage appends a message as it is shown in a line. Nothing that a publisher sends can start another line or
// drive a terminal: CR and LF are shown as \r and \n; the other C0 controls but TAB, DEL, and 0xFF (which telnet would
// take for the start of a command) as \xNN. It is for eyes, and not reversible: a backslash stands as it is.
func ShowMessage(dst, message []byte) []byte {
	start := plainLength(message)
	dst = append(dst, message[:start]...)
	for i := start; i < len(message); i++ {
		if c := message[i]; !isPlain(c) {
			dst = append(dst, message[start:i]...)
			dst = appendShown(dst, c)
			start = i + 1
		}
	}
	return append(dst, message[start:]...)
}

// plainLength is how much of message is surely shown as it is, looked at eight bytes at a time: a line of 64 bytes
// without anything to show otherwise is written in two thirds of the time.
func plainLength(message []byte) (n int) {
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

// ShownLength is how many bytes ShowMessage appends.
func ShownLength(message []byte) (n int) {
	n = plainLength(message)
	for rest := message[n:]; len(rest) > 0; {
		for _, c := range rest[:min(len(rest), 8)] {
			n += int(shownLength[c])
		}
		rest = rest[min(len(rest), 8):]
		plain := plainLength(rest)
		n, rest = n+plain, rest[plain:]
	}
	return n
}

// shownLength is the length of each byte as it is shown.
var shownLength = func() (lengths [256]uint8) {
	for c := range lengths {
		lengths[c] = 1
		if !isPlain(byte(c)) {
			lengths[c] = uint8(len(appendShown(nil, byte(c)))) //nolint:gosec // 2 or 4
		}
	}
	return lengths
}()

// ShowTopic is the same for a topic or a pattern, which in a line ends at a space: spaces and backslashes are shown as
// \x20 and \x5c.
func ShowTopic(dst, topic []byte) []byte {
	for _, c := range topic {
		if isPlain(c) && c != ' ' && c != '\\' {
			dst = append(dst, c)
		} else {
			dst = appendShown(dst, c)
		}
	}
	return dst
}

// ShowName is the same for what was subscribed to: behind ` WHERE ` stands a predicate, which is shown as a message is.
func ShowName(dst, name []byte) []byte {
	topic, predicate, found := bytes.Cut(name, []byte(" "+where+" "))
	dst = ShowTopic(dst, topic)
	if found {
		dst = ShowMessage(append(append(append(dst, ' '), where...), ' '), predicate)
	}
	return dst
}

func isPlain(c byte) bool { return c >= ' ' && c != 0x7f && c != iac || c == '\t' }

func appendShown(dst []byte, c byte) []byte {
	switch c {
	case '\r':
		return append(dst, `\r`...)
	case '\n':
		return append(dst, `\n`...)
	}
	return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
}

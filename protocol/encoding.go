package protocol

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// Encoding is how the bytes of a payload stand inside a frame. All encodings go piece by piece, so that a large
// payload never exists twice in memory.
type Encoding uint8

// The encodings.
const (
	Verbatim    Encoding = iota // the bytes themselves
	LineEscaped                 // EscapeMessage: a line of a socket
	TextEscaped                 // EscapeMessage, and \xNN for bytes that are no UTF-8: a line of a WebSocket
	EventLines                  // a server-sent event: each line of the payload is a data line
	Base64                      // the standard alphabet, with padding
	JSONEscaped                 // the inside of a JSON string; the payload must be UTF-8
)

// Append appends an encoded payload, or a piece of one that ends where Cut allows it.
func (e Encoding) Append(dst, payload []byte) []byte {
	switch e {
	case LineEscaped:
		return EscapeMessage(dst, payload)
	case TextEscaped:
		return escapeText(dst, payload)
	case EventLines:
		return appendEventLines(dst, payload)
	case Base64:
		return base64.StdEncoding.AppendEncode(dst, payload)
	case JSONEscaped:
		return appendJSONEscaped(dst, payload)
	}
	return append(dst, payload...)
}

// Len is the number of bytes that Append appends.
func (e Encoding) Len(payload []byte) int {
	switch e {
	case LineEscaped:
		return EscapedLen(payload)
	case TextEscaped:
		return EscapedLen(payload) + (len(`\xNN`)-1)*countInvalid(payload)
	case EventLines:
		return len(payload) + len(dataField)*bytes.Count(payload, lineFeed)
	case Base64:
		return base64.StdEncoding.EncodedLen(len(payload))
	case JSONEscaped:
		return jsonEscapedLen(payload)
	}
	return len(payload)
}

// Cut is where a piece of at most size bytes of the payload may end, at least 12 from its start: neither inside a
// character nor inside a group of base64.
func (e Encoding) Cut(payload []byte, size int) int {
	if size >= len(payload) {
		return len(payload)
	}
	switch e {
	case Base64:
		return size - size%3
	case TextEscaped, JSONEscaped:
		for back := 1; back < utf8.UTFMax; back++ {
			if start := size - back; utf8.RuneStart(payload[start]) {
				if !utf8.FullRune(payload[start:size]) {
					return start
				}
				break
			}
		}
	}
	return size
}

// escapeText is EscapeMessage for a text that must be UTF-8: every other byte becomes \xNN.
func escapeText(dst, message []byte) []byte {
	for len(message) > 0 {
		valid := validPrefixLen(message)
		dst = EscapeMessage(dst, message[:valid])
		if message = message[valid:]; len(message) == 0 {
			break
		}
		dst = appendEscaped(dst, message[0])
		message = message[1:]
	}
	return dst
}

// countInvalid counts the bytes outside of UTF-8 characters that EscapeMessage leaves as they are: it escapes
// 0xff itself.
func countInvalid(message []byte) (n int) {
	if utf8.Valid(message) {
		return 0
	}
	for len(message) > 0 {
		valid := validPrefixLen(message)
		if message = message[valid:]; len(message) == 0 {
			break
		}
		if message[0] != iac {
			n++
		}
		message = message[1:]
	}
	return n
}

// validPrefixLen is the length of the longest prefix that is UTF-8.
func validPrefixLen(text []byte) (n int) {
	for n < len(text) {
		if text[n] < utf8.RuneSelf {
			n++
			continue
		}
		r, size := utf8.DecodeRune(text[n:])
		if r == utf8.RuneError && size == 1 {
			return n
		}
		n += size
	}
	return n
}

// appendJSONEscaped appends the inside of a JSON string. The escapes are those of encoding/json without escapes for HTML.
func appendJSONEscaped(dst, text []byte) []byte {
	start := 0
	for i := 0; i < len(text); i++ {
		n := jsonEscapes[text[i]]
		if n == 0 || text[i] == lineSeparator[0] && !isLineSeparator(text[i:]) {
			continue
		}
		dst = append(dst, text[start:i]...)
		dst = appendJSONEscape(dst, text[i:])
		if text[i] == lineSeparator[0] {
			i += len(lineSeparator)
		}
		start = i + 1
	}
	return append(dst, text[start:]...)
}

// jsonEscapedLen is the number of bytes that appendJSONEscaped appends.
func jsonEscapedLen(text []byte) int {
	n := len(text)
	for i := 0; i < len(text); i++ {
		if more := jsonEscapes[text[i]]; more > 0 && (text[i] != lineSeparator[0] || isLineSeparator(text[i:])) {
			n += int(more)
		}
	}
	return n
}

// appendJSONEscape appends the escape of the character at the front of text, which needs one.
func appendJSONEscape(dst, text []byte) []byte {
	switch c := text[0]; c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	case lineSeparator[0]:
		return append(dst, `\u202`+string(hexDigits[text[2]&15])...)
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
}

// lineSeparator starts U+2028 and U+2029, which end a line in JavaScript.
const lineSeparator = "\xe2\x80"

// isLineSeparator reports whether text starts with U+2028 or U+2029.
func isLineSeparator(text []byte) bool {
	return len(text) > len(lineSeparator) && text[1] == lineSeparator[1] && text[2]&^1 == 0xa8
}

// jsonEscapes is how many bytes the escape of a byte is longer than the byte. That of 0xe2 holds for a line separator,
// with its other two bytes.
var jsonEscapes = func() (longer [256]uint8) {
	for c := range byte(' ') {
		longer[c] = uint8(len(`\u0000`) - 1)
	}
	for _, c := range "\"\\\b\f\n\r\t" {
		longer[c] = 1
	}
	longer[lineSeparator[0]] = uint8(len(`\u2028`) - len("\u2028"))
	return longer
}()

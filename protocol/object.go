package protocol

import (
	"strconv"
	"unicode/utf8"
)

// This file encodes messages as the JSON objects that `conch sub --json` prints, for server-sent events and WebSockets.
// A text is a string if it is UTF-8, and base64 in another field if not.

// ObjectEncoding is the encoding of a payload in an object.
func ObjectEncoding(payload []byte) Encoding {
	if utf8.Valid(payload) {
		return JSONEscaped
	}
	return Base64
}

// AppendObjectHead appends the part of a message object before the payload. An empty pattern is left out.
func AppendObjectHead(dst, topic []byte, pattern string, e Encoding) []byte {
	dst = AppendTextField(append(dst, `{"event":"message"`...), "topic", topic)
	if pattern != "" {
		dst = AppendTextField(dst, "pattern", []byte(pattern))
	}
	dst = append(dst, `,"payload`...)
	if e == Base64 {
		dst = append(dst, `_base64`...)
	}
	return append(dst, `":"`...)
}

// AppendObjectTail appends the part of a message object behind the payload. Headers are a JSON object; none are left out.
func AppendObjectTail(dst, headers []byte, epoch string, number uint64) []byte {
	dst = append(dst, '"')
	if len(headers) > 0 {
		dst = append(append(dst, `,"headers":`...), headers...)
	}
	return append(AppendSequenceFields(dst, epoch, number), '}')
}

// AppendSequenceFields appends the fields of a position.
func AppendSequenceFields(dst []byte, epoch string, number uint64) []byte {
	dst = append(append(append(dst, `,"epoch":"`...), epoch...), `","sequence":`...)
	return strconv.AppendUint(dst, number, 10)
}

// AppendTextField appends a field with a text that may be no UTF-8, and a comma in front of it.
func AppendTextField(dst []byte, name string, text []byte) []byte {
	dst = append(append(dst, `,"`...), name...)
	e := ObjectEncoding(text)
	if e == Base64 {
		dst = append(dst, `_base64`...)
	}
	return append(e.Append(append(dst, `":"`...), text), '"')
}

// AppendMissedObject appends the object of a loss: count messages of a subscription are missing at this point. A
// negative count is unknown, and null.
func AppendMissedObject(dst []byte, name string, count int) []byte {
	dst = AppendTextField(append(dst, `{"event":"missed"`...), "name", []byte(name))
	dst = append(dst, `,"count":`...)
	if count < 0 {
		return append(dst, "null}"...)
	}
	return append(strconv.AppendInt(dst, int64(count), 10), '}')
}

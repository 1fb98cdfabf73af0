package protocol

import (
	"strconv"

	"github.com/tidwall/redcon"
)

// This file wraps the encoders of redcon, so that no other package depends on redcon.

// AppendArray appends the header of an array of n elements.
func AppendArray(dst []byte, n int) []byte { return appendLength(dst, Array, n) }

// AppendBulk appends a bulk string.
func AppendBulk(dst, s []byte) []byte { return redcon.AppendBulk(dst, s) }

// AppendBulkHeader appends the header of a bulk string of n bytes. The caller appends the bytes, CR and LF.
func AppendBulkHeader(dst []byte, n int) []byte { return appendLength(dst, '$', n) }

// appendLength appends a type byte, a number, CR and LF. Nearly all numbers have one to three digits.
func appendLength(dst []byte, kind byte, n int) []byte {
	switch {
	case n < 0:
	case n < 10:
		return append(dst, kind, byte('0'+n), '\r', '\n')
	case n < 100:
		return append(dst, kind, byte('0'+n/10), byte('0'+n%10), '\r', '\n')
	case n < 1000:
		return append(dst, kind, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10), '\r', '\n')
	}
	return append(strconv.AppendInt(append(dst, kind), int64(n), 10), '\r', '\n')
}

// AppendBulkString appends a bulk string.
func AppendBulkString(dst []byte, s string) []byte { return redcon.AppendBulkString(dst, s) }

// AppendInt appends an integer.
func AppendInt(dst []byte, n int64) []byte { return redcon.AppendInt(dst, n) }

// AppendOK appends +OK.
func AppendOK(dst []byte) []byte { return redcon.AppendOK(dst) }

// AppendSimple appends a simple string. It escapes bytes that would end the string early or control a terminal.
func AppendSimple(dst, s []byte) []byte {
	return append(EscapeMessage(append(dst, '+'), s), '\r', '\n')
}

// AppendError appends an error reply. Input quoted in the text cannot end it early: see AppendSimple.
func AppendError(dst []byte, err *Error) []byte {
	dst = append(append(append(dst, '-'), err.Code...), ' ')
	return append(EscapeMessage(dst, []byte(err.Text)), '\r', '\n')
}

// Version is the RESP version of a connection. The zero value is RESP2: every connection starts with it.
type Version uint8

// The versions.
const (
	RESP2 Version = iota
	RESP3
)

// Number is the argument of HELLO for the version: 2 or 3.
func (v Version) Number() int { return int(v) + 2 }

// AppendHeader appends the header of an aggregate of n elements, or of n pairs for a map. RESP2 has arrays only: a map
// of n pairs becomes an array of 2n.
func (v Version) AppendHeader(dst []byte, kind byte, n int) []byte {
	if v == RESP2 {
		if kind == Map {
			n *= 2
		}
		kind = Array
	}
	return append(strconv.AppendInt(append(dst, kind), int64(n), 10), '\r', '\n')
}

// The type bytes of aggregates.
const (
	Array = '*'
	Map   = '%'
	Set   = '~'
	Push  = '>'
)

// AppendNull appends null: a null bulk string in RESP2.
func (v Version) AppendNull(dst []byte) []byte {
	if v == RESP3 {
		return append(dst, "_\r\n"...)
	}
	return redcon.AppendNull(dst)
}

// AppendNullArray appends null in the place of an array.
func (v Version) AppendNullArray(dst []byte) []byte {
	if v == RESP3 {
		return append(dst, "_\r\n"...)
	}
	return append(dst, "*-1\r\n"...)
}

// AppendVerbatim appends text meant for reading: a verbatim string in RESP3, a bulk string in RESP2.
func (v Version) AppendVerbatim(dst []byte, text string) []byte {
	if v == RESP2 {
		return redcon.AppendBulkString(dst, text)
	}
	dst = append(strconv.AppendInt(append(dst, '='), int64(len(text)+len("txt:")), 10), "\r\ntxt:"...)
	return append(append(dst, text...), '\r', '\n')
}

// AppendConfirmation appends one confirmation of SUBSCRIBE and its relatives. kind is "subscribe", "punsubscribe" and
// so on; a nil name becomes null.
func (v Version) AppendConfirmation(dst []byte, kind string, name []byte, count int) []byte {
	dst = redcon.AppendBulkString(v.AppendHeader(dst, Push, 3), kind)
	if name == nil {
		dst = v.AppendNull(dst)
	} else {
		dst = redcon.AppendBulk(dst, name)
	}
	return redcon.AppendInt(dst, int64(count))
}

// AppendMessage appends the message frame for subscribers of a topic. kind is "message", or "smessage" for a shard
// topic.
func (v Version) AppendMessage(dst []byte, kind string, topic, payload []byte) []byte {
	dst = redcon.AppendBulkString(v.AppendHeader(dst, Push, 3), kind)
	return redcon.AppendBulk(redcon.AppendBulk(dst, topic), payload)
}

// AppendPatternMessage appends the message frame for subscribers of a pattern.
func (v Version) AppendPatternMessage(dst []byte, pattern string, topic, payload []byte) []byte {
	dst = redcon.AppendBulkString(v.AppendHeader(dst, Push, 4), "pmessage")
	dst = redcon.AppendBulkString(dst, pattern)
	return redcon.AppendBulk(redcon.AppendBulk(dst, topic), payload)
}

// AppendUpdates appends messages of one topic as lines.
func AppendUpdates(dst, topic []byte, payloads [][]byte, crlf bool) []byte {
	start := len(dst)
	dst = AppendUpdateHeader(dst, topic, 0)
	head := len(dst) - start
	for i, payload := range payloads {
		if i > 0 {
			dst = append(dst, dst[start:start+head]...)
		}
		dst = AppendLineEnd(EscapeMessage(dst, payload), crlf)
	}
	return dst
}

// AppendMissed appends a MISSED line: count messages of a subscription are missing at this point. A negative count is
// unknown. name is the topic or the pattern of the subscription.
func AppendMissed(dst []byte, name string, count int, crlf bool) []byte {
	dst = append(dst, "MISSED "...)
	if count < 0 {
		dst = append(dst, '?')
	} else {
		dst = strconv.AppendInt(dst, int64(count), 10)
	}
	return AppendLineEnd(EscapeName(append(dst, ' '), []byte(name)), crlf)
}

// AppendMissedPush appends the frame of RESP3 for the same. An unknown number is null.
func AppendMissedPush(dst []byte, name string, count int) []byte {
	if count >= 0 {
		return RESP3.AppendConfirmation(dst, "missed", []byte(name), count)
	}
	dst = redcon.AppendBulkString(RESP3.AppendHeader(dst, Push, 3), "missed")
	return RESP3.AppendNull(redcon.AppendBulkString(dst, name))
}

// AppendLineOK appends the confirmation of a verb, without a line end: `OK SUB a`, and `OK UNSUB` for no name.
func AppendLineOK(dst []byte, verb string, names ...[]byte) []byte {
	dst = append(append(dst, "OK "...), verb...)
	for _, name := range names {
		dst = EscapeName(append(dst, ' '), name)
	}
	return dst
}

// AppendLineError appends an error as a line, without its end.
func AppendLineError(dst []byte, err *Error) []byte {
	dst = append(append(dst, err.Code...), ' ')
	return EscapeMessage(dst, []byte(err.Text))
}

// AppendHints appends the hints of an error as comment lines. Programs skip lines that start with #.
func AppendHints(dst []byte, err *Error, crlf bool) []byte {
	for _, note := range err.Hints {
		dst = AppendLineEnd(EscapeMessage(append(dst, "# "...), []byte(note)), crlf)
	}
	return dst
}

// AppendLineEnd appends the line end that the client uses: CRLF or LF.
func AppendLineEnd(dst []byte, crlf bool) []byte {
	if crlf {
		dst = append(dst, '\r')
	}
	return append(dst, '\n')
}

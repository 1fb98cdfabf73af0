package protocol

import (
	"github.com/tidwall/redcon"
)

// RESP replies are built with redcon's encoders; these names gather the ones conch uses, so that the rest of the
// project needs to know one place only.

// AppendArray appends the header of an array of n elements.
func AppendArray(dst []byte, n int) []byte { return redcon.AppendArray(dst, n) }

// AppendBulk appends a bulk string.
func AppendBulk(dst, s []byte) []byte { return redcon.AppendBulk(dst, s) }

// AppendBulkString appends a bulk string.
func AppendBulkString(dst []byte, s string) []byte { return redcon.AppendBulkString(dst, s) }

// AppendInt appends an integer.
func AppendInt(dst []byte, n int64) []byte { return redcon.AppendInt(dst, n) }

// AppendNull appends RESP2's null bulk string.
func AppendNull(dst []byte) []byte { return redcon.AppendNull(dst) }

// AppendOK appends +OK.
func AppendOK(dst []byte) []byte { return redcon.AppendOK(dst) }

// AppendSimple appends a simple string. Bytes that would end it early, or drive a terminal, are shown as in lines.
func AppendSimple(dst, s []byte) []byte {
	return append(ShowMessage(append(dst, '+'), s), '\r', '\n')
}

// AppendError appends an error reply. A part quoted from a peer cannot end it early: see AppendSimple.
func AppendError(dst []byte, err *Error) []byte {
	dst = append(append(append(dst, '-'), err.Code...), ' ')
	return append(ShowMessage(dst, []byte(err.Text)), '\r', '\n')
}

// AppendCount appends one confirmation: kind is "subscribe" and the like. A nil name is RESP2's null.
func AppendCount(dst []byte, kind string, name []byte, count int) []byte {
	dst = redcon.AppendBulkString(redcon.AppendArray(dst, 3), kind)
	if name == nil {
		dst = redcon.AppendNull(dst)
	} else {
		dst = redcon.AppendBulk(dst, name)
	}
	return redcon.AppendInt(dst, int64(count))
}

// AppendMessage appends a message frame as a RESP2 subscriber of the topic gets it.
func AppendMessage(dst, topic, payload []byte) []byte {
	dst = append(dst, "*3\r\n$7\r\nmessage\r\n"...)
	return redcon.AppendBulk(redcon.AppendBulk(dst, topic), payload)
}

// AppendPatternMessage appends a message frame as a RESP2 subscriber of the pattern gets it.
func AppendPatternMessage(dst []byte, pattern string, topic, payload []byte) []byte {
	dst = redcon.AppendBulkString(append(dst, "*4\r\n$8\r\npmessage\r\n"...), pattern)
	return redcon.AppendBulk(redcon.AppendBulk(dst, topic), payload)
}

// AppendUpdate appends a message as a line, without its end.
func AppendUpdate(dst, topic, payload []byte) []byte {
	dst = append(ShowTopic(append(dst, "UPDATE "...), topic), ' ')
	return ShowMessage(dst, payload)
}

// AppendLineOK appends the confirmation of a verb, without a line end: `OK SUB a`, and `OK UNSUB` for no name.
func AppendLineOK(dst []byte, verb string, names ...[]byte) []byte {
	dst = append(append(dst, "OK "...), verb...)
	for _, name := range names {
		dst = ShowTopic(append(dst, ' '), name)
	}
	return dst
}

// AppendLineError appends an error as a line, without its end.
func AppendLineError(dst []byte, err *Error) []byte {
	dst = append(append(dst, err.Code...), ' ')
	return ShowMessage(dst, []byte(err.Text))
}

// AppendLineEnd ends a line as its reader ends them.
func AppendLineEnd(dst []byte, crlf bool) []byte {
	if crlf {
		dst = append(dst, '\r')
	}
	return append(dst, '\n')
}

package protocol

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// This file encodes server-sent events, which a browser reads with EventSource: the section "Server-sent events" of the
// HTML standard. An event is lines of fields, ended by an empty line. No line of an event is empty otherwise, so that two
// line feeds end it.

const (
	dataField = "data: "
	eventEnd  = "\n\n"
)

var lineFeed = []byte{'\n'}

// EventEncoding is the encoding of a payload in an event. A payload that is UTF-8 without CR stays as it is; CR would end
// a line. Any other is base64.
func EventEncoding(payload []byte) Encoding {
	switch {
	case !utf8.Valid(payload), bytes.IndexByte(payload, '\r') >= 0:
		return Base64
	case bytes.IndexByte(payload, '\n') >= 0:
		return EventLines
	}
	return Verbatim
}

// AppendPosition appends a position: EPOCH-NUMBER.
func AppendPosition(dst []byte, epoch string, number uint64) []byte {
	return strconv.AppendUint(append(append(dst, epoch...), '-'), number, 10)
}

// AppendEventID appends an event that has an id alone. It moves the Last-Event-ID of a browser and fires nothing.
func AppendEventID(dst []byte, epoch string, number uint64) []byte {
	return append(AppendPosition(append(dst, "id: "...), epoch, number), eventEnd...)
}

// AppendEventHead appends the part of an event before the payload.
func AppendEventHead(dst []byte, epoch string, number uint64, e Encoding) []byte {
	dst = append(AppendPosition(append(dst, "id: "...), epoch, number), '\n')
	if e == Base64 {
		dst = append(dst, "event: base64\n"...)
	}
	return append(dst, dataField...)
}

// AppendEventTail appends the part of an event behind the payload.
func AppendEventTail(dst []byte) []byte { return append(dst, eventEnd...) }

// AppendNamedEvent appends an event without an id that holds a JSON object: missed, or closing.
func AppendNamedEvent(dst []byte, name string, object []byte) []byte {
	dst = append(append(append(dst, "event: "...), name...), "\n"+dataField...)
	return append(append(dst, object...), eventEnd...)
}

// appendEventLines appends a payload of several lines: each line feed ends a data line, and starts another one.
func appendEventLines(dst, payload []byte) []byte {
	for {
		i := bytes.IndexByte(payload, '\n')
		if i < 0 {
			return append(dst, payload...)
		}
		dst = append(append(dst, payload[:i+1]...), dataField...)
		payload = payload[i+1:]
	}
}

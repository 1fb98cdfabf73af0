package outbox

import "github.com/conchmq/conch/protocol"

// Format is the wire format of messages for a connection: a dialect, with or without sequences. Messages are
// encoded once per format in use.
type Format uint8

// The formats. IsLine and HasSeq depend on their order: all lines follow FormatLF, and presentations follow lines.
const (
	// FormatRESP2 has no frame for losses and none for sequences.
	FormatRESP2 Format = iota
	// FormatRESP3 has push frames.
	FormatRESP3
	formatRESP3WithSeq
	// FormatLF is the line protocol with a line feed behind each line.
	FormatLF
	// FormatCRLF is the line protocol for clients that end lines with CR LF, such as telnet.
	FormatCRLF
	formatLFWithSeq
	formatCRLFWithSeq
	// FormatEvents is that of server-sent events that hold the payload alone.
	FormatEvents
	// FormatObjectEvents is that of server-sent events with a JSON object.
	FormatObjectEvents
	// FormatTexts is a line in a WebSocket text message.
	FormatTexts
	// FormatObjects is a JSON object in a WebSocket text message.
	FormatObjects
	// FormatCount is the number of formats, the length of a table of them.
	FormatCount
)

// IsLine reports whether messages are lines of a socket.
func (f Format) IsLine() bool { return f >= FormatLF && f < FormatEvents }

// IsRESP reports whether messages are RESP.
func (f Format) IsRESP() bool { return f < FormatLF }

// IsPresented reports whether messages are events or WebSocket frames. They always show their sequence.
func (f Format) IsPresented() bool { return f >= FormatEvents }

// HasPattern reports whether messages show the pattern that matched.
func (f Format) HasPattern() bool { return f.IsRESP() || f == FormatObjectEvents || f == FormatObjects }

// HasHeaders reports whether messages show the headers of an entry.
func (f Format) HasHeaders() bool { return f == FormatObjectEvents || f == FormatObjects }

// Framing is how frames of the format follow each other.
func (f Format) Framing() protocol.Framing {
	switch f {
	case FormatEvents, FormatObjectEvents:
		return protocol.Events
	case FormatTexts, FormatObjects:
		return protocol.WebSocket
	}
	return protocol.Dialects
}

// IsCRLF reports whether lines end in CR LF.
func (f Format) IsCRLF() bool { return f == FormatCRLF || f == formatCRLFWithSeq }

// HasSeq reports whether messages show their sequence.
func (f Format) HasSeq() bool { return f >= formatLFWithSeq || f == formatRESP3WithSeq }

// Version is the RESP version of a format that is not a line.
func (f Format) Version() protocol.Version {
	if f == FormatRESP2 {
		return protocol.RESP2
	}
	return protocol.RESP3
}

// WithSeq is the format after SEQ ON. RESP2 stays as it is: a frame of another length would break its clients.
func (f Format) WithSeq() Format {
	switch f {
	case FormatRESP3:
		return formatRESP3WithSeq
	case FormatLF:
		return formatLFWithSeq
	case FormatCRLF:
		return formatCRLFWithSeq
	}
	return f
}

package protocol

import "bytes"

// Framing is how the frames of a connection follow each other. It never changes.
type Framing uint8

// The framings.
const (
	Dialects  Framing = iota // lines and RESP values
	Events                   // server-sent events
	WebSocket                // WebSocket frames
)

// FrameLen is the length of the first frame in buf, 0 if it is incomplete. It may walk the bytes: use it only off the hot
// path.
func (f Framing) FrameLen(buf []byte) int {
	switch f {
	case Events:
		if i := bytes.Index(buf, []byte(eventEnd)); i >= 0 {
			return i + len(eventEnd)
		}
		return 0
	case WebSocket:
		return webSocketFrameLen(buf)
	}
	return FrameLen(buf)
}

// FrameLen is the length of the first frame in buf, a line or a RESP value encoded by this package; 0 if the frame is
// incomplete. It walks the bytes: use it only off the hot path, such as for the frame that an eviction leaves partly
// written.
func FrameLen(buf []byte) int {
	at, values := 0, 1
	for ; values > 0; values-- {
		i := bytes.IndexByte(buf[at:], '\n')
		if i < 0 {
			return 0
		}
		header := buf[at : at+i]
		at += i + 1
		if len(header) == 0 {
			continue
		}
		n, ok := ParseInt(bytes.TrimSuffix(header[1:], []byte{'\r'}))
		if !ok || n < 0 {
			continue // a line, a simple value, a null
		}
		switch header[0] {
		case '*', '>', '~':
			values += int(n)
		case '%':
			values += 2 * int(n)
		case '$', '=':
			at += int(n) + 2
		}
		if at > len(buf) {
			return 0
		}
	}
	return at
}

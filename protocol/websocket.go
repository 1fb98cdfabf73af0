package protocol

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// This file encodes the frames that a WebSocket server sends: RFC 6455, section 5.2. They are never masked, so that all
// clients share one encoding, and never fragmented.

// The first bytes of frames: the final fragment, with an opcode.
const (
	WebSocketText  = 0x81
	WebSocketClose = 0x88
	WebSocketPing  = 0x89
	WebSocketPong  = 0x8a
)

const (
	// maxWebSocketHeader is the length of the longest header of a server's frame.
	maxWebSocketHeader = 10
	// MaxControlPayload is the most that a close, ping or pong frame may hold.
	MaxControlPayload = 125
)

// AppendWebSocketHeader appends the header of a frame with a payload of n bytes.
func AppendWebSocketHeader(dst []byte, first byte, n int) []byte {
	switch {
	case n <= MaxControlPayload:
		return append(dst, first, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(n)) //nolint:gosec // a length
}

// BeginWebSocketText makes room in front of a text message. EndWebSocketText gets the length of dst before it.
func BeginWebSocketText(dst []byte) []byte { return append(dst, make([]byte, maxWebSocketHeader)...) }

// EndWebSocketText makes a frame of the text that was appended since BeginWebSocketText, at start.
func EndWebSocketText(dst []byte, start int) []byte {
	text := dst[start+maxWebSocketHeader:]
	var room [maxWebSocketHeader]byte
	head := AppendWebSocketHeader(room[:0], WebSocketText, len(text))
	return append(append(dst[:start], head...), text...)
}

// AppendWebSocketClose appends a close frame. The reason is cut at what a control frame may hold.
func AppendWebSocketClose(dst []byte, code uint16, reason string) []byte {
	most := min(len(reason), MaxControlPayload-2)
	for most < len(reason) && most > 0 && !utf8.RuneStart(reason[most]) {
		most--
	}
	dst = AppendWebSocketHeader(dst, WebSocketClose, 2+most)
	return append(binary.BigEndian.AppendUint16(dst, code), reason[:most]...)
}

// webSocketFrameLen is the length of the first frame in buf, 0 if it is incomplete.
func webSocketFrameLen(buf []byte) int {
	if len(buf) < 2 {
		return 0
	}
	head, n := 2, uint64(buf[1]&0x7f)
	switch n {
	case 126:
		if head = 4; len(buf) < head {
			return 0
		}
		n = uint64(binary.BigEndian.Uint16(buf[2:]))
	case 127:
		if head = 10; len(buf) < head {
			return 0
		}
		n = binary.BigEndian.Uint64(buf[2:])
	}
	if n > uint64(len(buf)-head) {
		return 0
	}
	return head + int(n) //nolint:gosec // within buf
}

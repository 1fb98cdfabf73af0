package outbox

import (
	"bytes"

	"github.com/conchmq/conch/protocol"
)

// largePayload is from how many bytes on the payload of a message stays where it was read. A frame around it costs a few
// bytes then, however many subscribers, patterns and forms of writing there are: a copy for each of 100 patterns took
// 1.6 GiB and 9.7 s of everybody's time.
const LargePayload = 64 << 10

// largeFrame is one message whose payload lies where it was read: what stands in front of it, and what stands behind.
// Nobody changes it once it is made; all subscribers that read it so share it.
type LargeFrame struct {
	Head, Tail []byte
	Payload    []byte
	Buf        *Buffer // of the payload; each chunk holds it
	Escaped    bool    // the payload has bytes that a line shows otherwise: the writer encodes them, piece by piece
	Size       int     // bytes on the wire
}

// memSize is what the frame costs each chunk. A payload in no counted buffer is counted by each that keeps it alive.
func (f *LargeFrame) memSize() int {
	n := len(f.Head) + len(f.Tail)
	if f.Buf == nil {
		n += len(f.Payload)
	}
	return n
}

// piece is a run of the frame's bytes from a place on the wire on: as many as lie side by side. It is not for a frame
// that must be shown.
func (f *LargeFrame) piece(at int) []byte {
	for _, part := range [][]byte{f.Head, f.Payload, f.Tail} {
		if at < len(part) {
			return part[at:]
		}
		at -= len(part)
	}
	return nil
}

// escapedFrame is a writer's place in a large frame that is encoded as it is written: 16 MiB of control characters are 64 MiB
// on the wire, which nobody has to hold. It belongs to the writer.
type escapedFrame struct {
	frame   *LargeFrame
	encoded []byte // what of the frame is encoded
	start   int    // where that stands on the wire
	next    int    // the payload's first byte that is not encoded
}

// escapedPiece is how many bytes of a payload are encoded at once.
const escapedPiece = 16 << 10

func newEscapedFrame(f *LargeFrame) *escapedFrame {
	return &escapedFrame{frame: f, encoded: bytes.Clone(f.Head)}
}

// piece is what follows a place on the wire. Places come in order, from the frame's start to its end.
func (s *escapedFrame) piece(at int) []byte {
	for at >= s.start+len(s.encoded) {
		s.start += len(s.encoded)
		if s.next == len(s.frame.Payload) {
			s.encoded = s.encoded[:0] // or the next call would take it for the tail
			return s.frame.Tail[at-s.start:]
		}
		end := min(s.next+escapedPiece, len(s.frame.Payload))
		s.encoded = protocol.EscapeMessage(s.encoded[:0], s.frame.Payload[s.next:end])
		s.next = end
	}
	return s.encoded[at-s.start:]
}

package outbox

import (
	"bytes"

	"github.com/conchmq/conch/protocol"
)

// LargePayload is the size from which a payload stays where it was read, and frames refer to it. A frame then
// costs a few bytes, however many subscribers, patterns and formats there are.
//
// A copy for each of 100 patterns took 1.6 GiB, and stopped all connections for 9.7 s.
const LargePayload = 64 << 10

// LargeFrame is one message with its payload where it was read, between a head and a tail. It never changes once
// it is made: all subscribers of one format share it.
type LargeFrame struct {
	Head, Tail []byte
	Payload    []byte
	// Buf is the buffer of the payload. Each chunk holds it.
	Buf *Buffer
	// Encoding is how the payload stands in the frame. The writer encodes it piece by piece, unless it is Verbatim.
	Encoding protocol.Encoding
	// Size is the number of bytes on the wire.
	Size int
}

// memSize is the memory that each chunk is charged for the frame. A payload without a counted buffer is charged
// to each chunk that keeps it alive.
func (f *LargeFrame) memSize() int {
	n := len(f.Head) + len(f.Tail)
	if f.Buf == nil {
		n += len(f.Payload)
	}
	return n
}

// piece returns the bytes from an offset on the wire to the end of that part. It is not for escaped frames.
func (f *LargeFrame) piece(at int) []byte {
	for _, part := range [][]byte{f.Head, f.Payload, f.Tail} {
		if at < len(part) {
			return part[at:]
		}
		at -= len(part)
	}
	return nil
}

// escapedFrame is the writer's place in a large frame that is escaped as it is written. The writer owns it.
//
// 16 MiB of control characters are 64 MiB on the wire, which never have to be in memory.
type escapedFrame struct {
	frame   *LargeFrame
	encoded []byte // the piece that is encoded now
	start   int    // its offset on the wire
	next    int    // the first byte of the payload behind it
}

// escapedPiece is the number of payload bytes that are encoded at once.
const escapedPiece = 16 << 10

func newEscapedFrame(f *LargeFrame) *escapedFrame {
	return &escapedFrame{frame: f, encoded: bytes.Clone(f.Head)}
}

// piece returns the bytes from an offset on the wire on. Offsets only grow, from the start of the frame to its
// end.
func (s *escapedFrame) piece(at int) []byte {
	for at >= s.start+len(s.encoded) {
		s.start += len(s.encoded)
		if s.next == len(s.frame.Payload) {
			s.encoded = s.encoded[:0] // the next call must not count the old piece again
			return s.frame.Tail[at-s.start:]
		}
		rest := s.frame.Payload[s.next:]
		n := s.frame.Encoding.Cut(rest, escapedPiece)
		s.encoded = s.frame.Encoding.Append(s.encoded[:0], rest[:n])
		s.next += n
	}
	return s.encoded[at-s.start:]
}

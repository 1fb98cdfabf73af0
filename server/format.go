package server

import "github.com/conchmq/conch/protocol"

// format is how a message is written.
type format uint8

// The formats.
const (
	formatRESP2 format = iota
	formatRESP3
	formatRESP3WithSeq
	formatLF // this one and what follows are lines
	formatCRLF
	formatLFWithSeq
	formatCRLFWithSeq
	formats
)

func (f format) line() bool   { return f >= formatLF }
func (f format) crlf() bool   { return f == formatCRLF || f == formatCRLFWithSeq }
func (f format) hasSeq() bool { return f >= formatLFWithSeq || f == formatRESP3WithSeq }

// version is the RESP version of a format that is not a line.
func (f format) version() protocol.Version {
	if f == formatRESP2 {
		return protocol.RESP2
	}
	return protocol.RESP3
}

// withSeq is the format of a connection that enabled sequence numbers. RESP2 has none: a frame of another length would
// break its clients.
func (f format) withSeq() format {
	switch f {
	case formatRESP3:
		return formatRESP3WithSeq
	case formatLF:
		return formatLFWithSeq
	case formatCRLF:
		return formatCRLFWithSeq
	}
	return f
}

// firstSeq is the number of the first of some frames, 0 if they do not show it as lines do.
func (f format) firstSeq(frames []byte) uint64 {
	if !f.line() || !f.hasSeq() {
		return 0
	}
	seq, _ := protocol.ParseUpdateSeq(frames)
	return seq
}

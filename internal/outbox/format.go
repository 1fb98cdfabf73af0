package outbox

import "github.com/conchmq/conch/protocol"

// format is how a message is written.
type Format uint8

// The formats.
const (
	FormatRESP2 Format = iota
	FormatRESP3
	formatRESP3WithSeq
	FormatLF // this one and what follows are lines
	FormatCRLF
	formatLFWithSeq
	formatCRLFWithSeq
	FormatCount
)

func (f Format) IsLine() bool { return f >= FormatLF }
func (f Format) IsCRLF() bool { return f == FormatCRLF || f == formatCRLFWithSeq }
func (f Format) HasSeq() bool { return f >= formatLFWithSeq || f == formatRESP3WithSeq }

// version is the RESP version of a format that is not a line.
func (f Format) Version() protocol.Version {
	if f == FormatRESP2 {
		return protocol.RESP2
	}
	return protocol.RESP3
}

// withSeq is the format of a connection that enabled sequence numbers. RESP2 has none: a frame of another length would
// break its clients.
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

// firstSeq is the number of the first of some frames, 0 if they do not show it as lines do.
func (f Format) firstSeq(frames []byte) uint64 {
	if !f.IsLine() || !f.HasSeq() {
		return 0
	}
	seq, _ := protocol.ParseUpdateSeq(frames)
	return seq
}

package store

import (
	"encoding/binary"
	"errors"

	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/stream"
)

// stop is the record of a clean stop.
type stop struct {
	sequence uint64 // of the last message
	time     int64  // milliseconds of the log's clock
}

// stopLen is the length of its payload.
const stopLen = 16

func (s stop) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, s.sequence)
	return binary.LittleEndian.AppendUint64(b, uint64(s.time)) //nolint:gosec // read back as it was
}

func (s *stop) parse(b []byte) error {
	if len(b) < stopLen {
		return errors.New("the record of a stop is too short")
	}
	s.sequence = max(s.sequence, binary.LittleEndian.Uint64(b))
	s.time = max(s.time, int64(binary.LittleEndian.Uint64(b[8:]))) //nolint:gosec // as it was written
	return nil
}

// spans tells the log which entries a record has.
func spans(kind byte, payload []byte, add func(log.Span)) {
	if kind == kindChanges { // the payload is what the core has made, or what opening has parsed
		_ = stream.Spans(payload, func(key, first uint64, count int) { add(log.Span{Key: key, First: first, Count: count}) })
	}
}

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

// applyChanges applies the payload of a record. Behind records that are lost some changes may not fit: they are applied as far as
// they make sense, misfit is the first, and skipped are those that make none.
func applyChanges(streams *stream.Streams, payload []byte) (misfit error, skipped int, err error) {
	err = streams.ApplyRecord(payload)
	if m := (*stream.Misfit)(nil); errors.As(err, &m) {
		return err, streams.ApplyDamaged(payload, m.Applied), nil
	}
	return nil, 0, err
}

// spans passes to the log which entries a record has.
func spans(kind byte, payload []byte, add func(log.Span)) {
	if kind == kindChanges { // the payload is what the core has made, or what opening has parsed
		_ = stream.Spans(payload, func(key, first uint64, count int) { add(log.Span{Key: key, First: first, Count: count}) })
	}
}

// keep makes the payload of a record that has only the entries in live, which are of one stream and ascend.
func keep(dst []byte, kind byte, payload []byte, live []log.Span) []byte {
	if kind != kindChanges {
		return dst
	}
	i := 0
	return stream.Keep(dst, payload, func(key, ordinal uint64) bool {
		if len(live) == 0 || key != live[0].Key { // its ordinals have nothing to do with those that are kept
			return false
		}
		for i < len(live) && ordinal >= live[i].First+uint64(live[i].Count) { //nolint:gosec // a count
			i++
		}
		return i < len(live) && ordinal >= live[i].First
	})
}

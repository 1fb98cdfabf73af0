package log

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Record is one entry of the log.
type Record struct {
	Number  uint64 // from 1, without a gap
	Term    uint64 // of a replicated log; below 1<<56
	Kind    byte   // the caller's: below MaxKind
	Payload []byte
}

const (
	// headerSize is what stands before a payload: CRC of the rest of the header, CRC of the payload, length of the payload,
	// kind, term (7 bytes), number.
	headerSize = 28
	// MaxPayload bounds the length of a payload.
	MaxPayload = 1 << 30
	// maxNumber bounds the numbers of records, so that one behind it is a number, too.
	maxNumber = 1 << 62
	// MaxKind bounds the kinds of the caller's records.
	MaxKind = 0x40

	// behindSync is set in the kind of a record if all before it was synced when it was written.
	behindSync = 0x80
)

// Kinds of the log's own records. They have the number of the record that comes next, and do not count.
const (
	kindMark  = MaxKind + iota // all records up to a number were synced
	kindStop                   // a clean stop
	kindIndex                  // the index of a sealed segment
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errBroken is a record that is not whole.
var errBroken = errors.New("log: a record is not whole")

// own reports whether a record is the log's.
func own(kind byte) bool { return kind&^behindSync >= MaxKind }

// appendRecord encodes a record. salt is the segment's: bytes of a client that look like a record do not have it.
func appendRecord(b []byte, salt uint32, r Record) []byte {
	return append(appendHeader(b, salt, r, checksum(r.Payload)), r.Payload...)
}

// appendHeader encodes what stands before a payload of that sum.
func appendHeader(b []byte, salt uint32, r Record, sum uint32) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, sum)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Payload))) //nolint:gosec // bounded by MaxPayload
	b = binary.LittleEndian.AppendUint64(b, r.Term<<8|uint64(r.Kind))
	b = binary.LittleEndian.AppendUint64(b, r.Number)
	sumHeader(b[at:], salt)
	return b
}

func checksum(payload []byte) uint32 { return crc32.Checksum(payload, castagnoli) }

// sumHeader writes the CRC of a header.
func sumHeader(b []byte, salt uint32) {
	binary.LittleEndian.PutUint32(b, crc32.Update(salt, castagnoli, b[4:headerSize]))
}

// parseHeader reads the header at the front of b. Its length is to be trusted only if it is whole.
func parseHeader(b []byte, salt uint32) (r Record, length int, whole bool) {
	if len(b) < headerSize || crc32.Update(salt, castagnoli, b[4:headerSize]) != binary.LittleEndian.Uint32(b) {
		return r, 0, false
	}
	r, length = decodeHeader(b)
	if length > MaxPayload {
		return Record{}, 0, false
	}
	return r, length, r.Number > 0 && r.Number <= maxNumber
}

// decodeHeader decodes the header at the front of b, whatever it has.
func decodeHeader(b []byte) (r Record, length int) {
	n, word, number := binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint64(b[12:]), binary.LittleEndian.Uint64(b[20:])
	return Record{Number: number, Term: word >> 8, Kind: byte(word)}, int(n)
}

// decodeRecord returns the record at the front of bytes that were encoded here, and its size.
func decodeRecord(b []byte) (r Record, size int) {
	r, length := decodeHeader(b)
	size = headerSize + length
	r.Payload = b[headerSize:size:size]
	return r, size
}

// parseRecord reads the record at the front of b, and returns its size. The payload is a part of b.
func parseRecord(b []byte, salt uint32) (r Record, size int, err error) {
	r, length, whole := parseHeader(b, salt)
	if !whole || len(b)-headerSize < length {
		return Record{}, 0, errBroken
	}
	r.Payload = b[headerSize : headerSize+length : headerSize+length]
	if !wholePayload(b, r.Payload) {
		return Record{}, 0, errBroken
	}
	return r, headerSize + length, nil
}

// wholePayload compares a payload with the CRC in its header. A large one has none in memory: the writer sums it on the way to the file,
// where the CRC of the header guards that it is there.
func wholePayload(header, payload []byte) bool {
	sum := binary.LittleEndian.Uint32(header[4:])
	return sum == 0 && isLarge(len(payload)) || sum == checksum(payload)
}

// isLarge reports whether a record with so long a payload has a chunk of its own.
func isLarge(length int) bool { return headerSize+length > chunkSize }

// encodeNumber is the payload of a mark.
func encodeNumber(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func decodeNumber(payload []byte) uint64 {
	if len(payload) != 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(payload)
}

package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// hostileSegments are beginnings of segments that a reader must survive.
func hostileSegments(salt uint32) map[string][]byte {
	whole := appendRecord(nil, salt, Record{Number: 1, Kind: 1, Payload: []byte("whole")})
	length := func(n uint32) []byte { // a whole header that announces n bytes
		b := appendRecord(nil, salt, Record{Number: 2, Kind: 1})
		binary.LittleEndian.PutUint32(b[8:], n)
		sumHeader(b, salt)
		return append(bytes.Clone(whole), b...)
	}
	next := func(r Record) []byte { return appendRecord(bytes.Clone(whole), salt, r) }
	return map[string][]byte{
		"nothing":                nil,
		"zeros":                  make([]byte, 100),
		"half a header":          whole[:headerSize-1],
		"half a payload":         whole[:len(whole)-1],
		"2^32-1 bytes":           length(1<<32 - 1),
		"2^31 bytes":             length(1 << 31),
		"MaxPayload bytes":       length(MaxPayload),
		"a byte more":            length(1),
		"the same number":        next(Record{Number: 1, Kind: 1}),
		"number 0":               next(Record{Number: 0, Kind: 1}),
		"the last number":        next(Record{Number: 1<<64 - 1, Kind: 1 | behindSync}),
		"an unknown kind":        next(Record{Number: 2, Kind: 0x7f}),
		"a mark of all":          next(Record{Number: 2, Kind: kindMark, Payload: encodeNumber(1<<64 - 1)}),
		"a mark without a body":  next(Record{Number: 2, Kind: kindMark}),
		"an index":               next(Record{Number: 2, Kind: kindIndex, Payload: []byte{0xff, 0xff, 0xff, 0xff, 0xff}}),
		"a stop, and more":       append(next(Record{Number: 2, Kind: kindStop | behindSync}), whole...),
		"a trailer":              appendTrailer(bytes.Clone(whole), salt, trailer{segmentHeaderSize + int64(len(whole)), 1, false}),
		"a trailer before it":    appendTrailer(bytes.Clone(whole), salt, trailer{0, 1, false}),
		"a trailer behind it":    appendTrailer(bytes.Clone(whole), salt, trailer{1 << 62, 1, true}),
		"a negative trailer":     appendTrailer(bytes.Clone(whole), salt, trailer{-1, 1 << 63, false}),
		"a trailer of no record": appendTrailer(bytes.Clone(whole), salt, trailer{segmentHeaderSize, 1<<64 - 1, true}),
	}
}

// FuzzSegment reads any bytes as the records of a segment: they are read or refused, in bounded memory, and what is written behind them is there
// at the next start.
func FuzzSegment(f *testing.F) {
	const secret = 42
	salt := newSalt(secret, 1)
	for _, seed := range hostileSegments(salt) {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, records []byte, summed bool) {
		if summed {
			sumRecords(records, salt)
		}
		s := &segment{id: 1, first: 1, head: 1}
		files := image{
			metaName:       (&meta{secret: secret, head: 1}).encode(),
			segmentName(1): append(appendSegmentHeader(nil, s, secret), records...),
		}
		d := files.disk()
		var found []Record
		l, recovery, err := Open(Options{Files: d, SegmentSize: 4096}, 0, collect(&found))
		if err != nil {
			return
		}
		for i, r := range found {
			require.Less(t, r.Kind, byte(MaxKind))
			require.LessOrEqual(t, r.Number, recovery.Last)
			if i > 0 {
				require.Greater(t, r.Number, found[i-1].Number)
			}
		}
		if recovery.Last == maxNumber {
			_ = l.Close() // no log reaches it
			return
		}
		n := l.Append(1, []byte("behind"))
		require.Equal(t, recovery.Last+1, n)
		require.NoError(t, l.Close())
		var again []Record
		l, recovery, err = Open(Options{Files: d, SegmentSize: 4096}, 0, collect(&again))
		require.NoError(t, err)
		require.Equal(t, n, recovery.Last)
		require.Len(t, again, len(found)+1)
		require.Equal(t, "behind", string(again[len(found)].Payload))
		require.NoError(t, l.Close())
	})
}

// sumRecords makes the sums of records right, as far as their lengths lead from one to the next, so that the fuzzer gets behind them.
func sumRecords(b []byte, salt uint32) {
	for len(b) >= headerSize {
		length := int(binary.LittleEndian.Uint32(b[8:]))
		if length > len(b)-headerSize {
			length = len(b) - headerSize
			binary.LittleEndian.PutUint32(b[8:], uint32(length)) //nolint:gosec // shorter than it was
		}
		binary.LittleEndian.PutUint32(b[4:], checksum(b[headerSize:headerSize+length]))
		sumHeader(b, salt)
		b = b[headerSize+length:]
	}
}

// FuzzMeta reads any bytes as log.meta.
func FuzzMeta(f *testing.F) {
	f.Add([]byte(nil))
	f.Add((&meta{secret: 1, head: 2, epochs: []Epoch{{ID: 1, First: 2, Last: 3, Clean: true}}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMeta(b)
		if err != nil {
			require.ErrorIs(t, err, errMeta)
			return
		}
		again, err := parseMeta(m.encode())
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}

// A reader finds the same records whatever is around them, and the search behind a broken one misses none, wherever it stands.
func TestSearchFindsEachRecord(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		salt := rng.Uint32()
		b := make([]byte, rng.IntN(100))
		if rng.IntN(2) == 0 {
			for i := range b {
				b[i] = byte(rng.IntN(2))
			}
		}
		want := map[int64]bool{}
		for n := range 20 {
			want[int64(len(b))] = true
			b = appendRecord(b, salt, Record{Number: uint64(n + 1), Kind: 1, Payload: make([]byte, rng.IntN(40))})
			b = append(b, make([]byte, rng.IntN(40))...)
		}
		rd := newReader(bytes.NewReader(b), salt, 0, int64(len(b)))
		for rd.skip() == nil && rd.size-rd.at >= headerSize {
			at := rd.at
			if _, err := rd.next(); errors.Is(err, errBroken) {
				rd.at = at + 1
				continue
			}
			require.True(t, want[at])
			delete(want, at)
		}
		require.Empty(t, want)
	}
}

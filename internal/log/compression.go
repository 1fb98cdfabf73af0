package log

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Compression is how new files are compressed.
type Compression byte

const (
	// CompressNone leaves the bytes as they are.
	CompressNone Compression = iota
	// CompressS2 costs little time.
	CompressS2
	// CompressZstd takes less space. A segment that grows is written with s2, and packed again once it is complete.
	CompressZstd
)

// compressions are the names, by value.
var compressions = []string{"none", "s2", "zstd"}

// ParseCompression reads a compression as people write it.
func ParseCompression(text string) (Compression, error) {
	i := slices.Index(compressions, strings.ToLower(text))
	if i < 0 {
		return 0, fmt.Errorf("expected %s, not %q", strings.Join(compressions, ", "), text)
	}
	return Compression(i), nil //nolint:gosec // one of three
}

func (c Compression) String() string { return compressions[c] }

// minCompressed is how long a frame is at least that is compressed: below, the saving is smaller than the work.
const minCompressed = 128

// zstdEncoder and zstdDecoder are shared: their calls may run side by side, and they have no goroutine.
var (
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(frameSize), zstd.WithSingleSegment(true))
		if err != nil {
			panic("log: " + err.Error()) // the options do not change
		}
		return e
	})
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(1<<20), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic("log: " + err.Error()) // the options do not change
		}
		return d
	})
)

// compress appends p to dst, compressed, and returns how. What does not become an eighth shorter stays as it is: reading it costs nothing.
func (c Compression) compress(dst, p []byte) ([]byte, Compression) {
	n := len(dst)
	if len(p) >= minCompressed {
		switch c {
		case CompressNone:
		case CompressS2:
			dst = slices.Grow(dst, s2.MaxEncodedLen(len(p)))
			dst = dst[:n+len(s2.Encode(dst[n:cap(dst)], p))]
		case CompressZstd:
			dst = zstdEncoder().EncodeAll(p, dst)
		}
		if size := len(dst) - n; size > 0 && size <= len(p)-len(p)/8 {
			return dst, c
		}
	}
	return append(dst[:n], p...), CompressNone
}

// decompress writes to dst what b has, which must fill it. It trusts nothing.
func (c Compression) decompress(dst, b []byte) bool {
	switch c {
	case CompressNone:
		return copy(dst, b) == len(dst) && len(b) == len(dst)
	case CompressS2:
		if n, err := s2.DecodedLen(b); err != nil || n != len(dst) {
			return false
		}
		_, err := s2.Decode(dst, b)
		return err == nil
	case CompressZstd:
		got, err := zstdDecoder().DecodeAll(b, dst[:0:len(dst)])
		return err == nil && len(got) == len(dst)
	}
	return false
}

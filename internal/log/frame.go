package log

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	// frameSize is how many bytes of the content a frame has at most. To read one entry a whole frame is decoded.
	frameSize = 64 << 10

	// fileHeaderSize: magic (7) and format (1), flags (4), secret of the directory (8), salt (16), check of the key (8); zeros, CRC (4).
	fileHeaderSize = 64
	fileMagic      = "conchfr"
	fileFormat     = '1'
	flagEncrypted  = 1
	flagPacked     = 2
	shiftCodec     = 8 // of the flags

	// frameHeaderSize: CRC of what follows, seeded (4), stored length (4), length (4), kind (1), zero (1), offset in the content (6), nonce (4).
	frameHeaderSize = 24
	// encryptedHeaderSize has the salt of the subkey (16), too.
	encryptedHeaderSize = frameHeaderSize + saltSize
	tagSize             = 16
)

// The kind of a frame is its compression, or one of these, and bits.
const (
	frameCut   = 0x10 + iota // the content ends at its offset; what follows it in the file goes on there
	frameTable               // where frames are; it is no content
	frameFill  = 0x40        // it fills a gap that was left out
	frameBit   = 0x80        // it is encrypted
)

// fileHeader is what a file of frames begins with. A file whose header is not whole is read all the same: each frame says where it belongs.
type fileHeader struct {
	secret uint64
	key    *Key // nil: not encrypted
	salt   [saltSize]byte
	check  [checkSize]byte
	packed bool // its frames are full, as far as it was packed
	codec  Compression
}

func (h *fileHeader) append(b []byte) []byte {
	at := len(b)
	b = append(append(b, fileMagic...), fileFormat)
	flags := uint32(h.codec) << shiftCodec
	if h.key != nil {
		flags |= flagEncrypted
	}
	if h.packed {
		flags |= flagPacked
	}
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = binary.LittleEndian.AppendUint64(b, h.secret)
	b = append(append(b, h.salt[:]...), h.check[:]...)
	b = append(b, make([]byte, fileHeaderSize-4-(len(b)-at))...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

// parseFileHeader reads a header. One of a newer format is an error; the key is left to be found.
func parseFileHeader(name string, b []byte) (h fileHeader, encrypted, whole bool, err error) {
	if len(b) < fileHeaderSize || string(b[:7]) != fileMagic {
		return h, false, false, nil
	}
	b = b[:fileHeaderSize]
	if crc32.Checksum(b[:fileHeaderSize-4], castagnoli) != binary.LittleEndian.Uint32(b[fileHeaderSize-4:]) {
		return h, false, false, nil
	}
	if b[7] > fileFormat {
		return h, false, false, errNewer(name, b[7], fileFormat)
	}
	flags := binary.LittleEndian.Uint32(b[8:])
	h.secret = binary.LittleEndian.Uint64(b[12:])
	copy(h.salt[:], b[20:])
	copy(h.check[:], b[36:])
	h.packed, h.codec = flags&flagPacked != 0, Compression(flags>>shiftCodec)
	return h, flags&flagEncrypted != 0, h.codec <= CompressZstd, nil
}

// frameHeader is what stands before the bytes of a frame.
type frameHeader struct {
	stored int // bytes behind the header
	length int // bytes of the content
	kind   byte
	offset int64
	nonce  uint32
	salt   [saltSize]byte // of an encrypted one
}

func (h *frameHeader) size() int {
	if h.kind&frameBit != 0 {
		return encryptedHeaderSize
	}
	return frameHeaderSize
}

func (h *frameHeader) end() int64 { return h.offset + int64(h.length) }

// put writes the header. Bytes of a client that look like one do not have the seed.
func (h *frameHeader) put(b []byte, seed uint32) {
	binary.LittleEndian.PutUint32(b[4:], uint32(h.stored))                     //nolint:gosec // about frameSize
	binary.LittleEndian.PutUint32(b[8:], uint32(h.length))                     //nolint:gosec // at most frameSize
	binary.LittleEndian.PutUint64(b[12:], uint64(h.offset)<<16|uint64(h.kind)) //nolint:gosec // below maxOffset
	binary.LittleEndian.PutUint32(b[20:], h.nonce)
	if h.kind&frameBit != 0 {
		copy(b[frameHeaderSize:], h.salt[:])
	}
	binary.LittleEndian.PutUint32(b, crc32.Update(seed, castagnoli, b[4:h.size()]))
}

// parseFrameHeader reads the header at the front of b.
func parseFrameHeader(b []byte, seed uint32) (h frameHeader, whole bool) {
	if len(b) < frameHeaderSize {
		return h, false
	}
	word := binary.LittleEndian.Uint64(b[12:])
	h.kind = byte(word)
	size := h.size()
	if len(b) < size || crc32.Update(seed, castagnoli, b[4:size]) != binary.LittleEndian.Uint32(b) {
		return h, false
	}
	stored, length := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	h.stored, h.length, h.offset, h.nonce = int(stored), int(length), int64(word>>16), binary.LittleEndian.Uint32(b[20:]) //nolint:gosec // 48 bits
	if h.kind&frameBit != 0 {
		copy(h.salt[:], b[frameHeaderSize:])
	}
	switch h.kind &^ (frameBit | frameFill) {
	case frameCut:
		return h, stored == 0 && length == 0
	case frameTable:
		return h, length == 0 && stored < 1<<30
	case byte(CompressNone), byte(CompressS2), byte(CompressZstd):
		return h, length > 0 && length <= frameSize && stored <= frameSize+tagSize
	}
	return h, false
}

// nonceOf is the nonce of a frame. A subkey encrypts with each number once.
func nonceOf(n uint32) []byte {
	b := make([]byte, 12)
	binary.LittleEndian.PutUint32(b[8:], n)
	return b
}

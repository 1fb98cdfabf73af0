package log

import (
	"encoding/binary"
	"errors"
	"io"
)

// readerSize is how many bytes a reader reads at once, unless a record is longer.
const readerSize = 256 << 10

// reader reads the records of a segment's file, in order. It trusts nothing that it reads.
type reader struct {
	file io.ReaderAt
	salt uint32
	size int64 // where reading ends

	at  int64  // the offset of the next record
	buf []byte // the bytes of the file from start on
	// start is the offset of buf.
	start int64
}

func newReader(f io.ReaderAt, salt uint32, at, size int64) *reader {
	return &reader{file: f, salt: salt, at: at, size: size}
}

// next returns the record at r.at, and goes on behind it. Its payload is valid until the next call. The error is errBroken if there
// is no whole record.
func (r *reader) next() (Record, error) {
	record, length, err := r.header()
	if err != nil {
		return Record{}, err
	}
	b, err := r.bytes(r.at, headerSize+length)
	if err != nil {
		return Record{}, err
	}
	record.Payload = b[headerSize : headerSize+length : headerSize+length]
	if len(b) < headerSize+length || !wholePayload(b, record.Payload) {
		return Record{}, errBroken
	}
	r.at += int64(headerSize + length)
	return record, nil
}

// header returns the header at r.at, and the length of the payload. It sums no payload.
func (r *reader) header() (Record, int, error) {
	b, err := r.bytes(r.at, headerSize)
	if err != nil {
		return Record{}, 0, err
	}
	record, length, whole := parseHeader(b, r.salt)
	if !whole || int64(length) > r.size-r.at-headerSize {
		return Record{}, 0, errBroken
	}
	return record, length, nil
}

// skip goes to the first offset from r.at on at which a header can stand: not among zeros, which fill what is allocated ahead.
func (r *reader) skip() error {
	for r.size-r.at >= headerSize {
		if _, err := r.bytes(r.at, headerSize); err != nil {
			return err
		}
		b, n := r.buf[r.at-r.start:], 0
		for n+8 <= len(b) && binary.LittleEndian.Uint64(b[n:]) == 0 {
			n += 8
		}
		if n == 0 {
			return nil
		}
		r.at += int64(n - 7) // a header may begin with zeros, too
	}
	r.at = r.size
	return nil
}

// bytes returns n bytes of the file from an offset on.
func (r *reader) bytes(at int64, n int) ([]byte, error) {
	if int64(n) > r.size-at {
		return nil, errBroken
	}
	if at < r.start || at+int64(n) > r.start+int64(len(r.buf)) {
		if err := r.fill(at, n); err != nil {
			return nil, err
		}
	}
	from := at - r.start
	return r.buf[from : from+int64(n)], nil
}

// fill reads the file from an offset on: n bytes, or more.
func (r *reader) fill(at int64, n int) error {
	size := int(min(int64(max(n, readerSize)), r.size-at))
	if cap(r.buf) < size || cap(r.buf) > 4*max(size, readerSize) {
		r.buf = make([]byte, size)
	}
	r.buf, r.start = r.buf[:size], at
	got, err := r.file.ReadAt(r.buf, at)
	r.buf = r.buf[:got]
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if got < n {
		return errBroken
	}
	return nil
}

package log

import (
	"errors"
	"io"
)

const (
	// maxGap bounds what a frame may leave out before it: a header whose sum holds by chance must not make a file endless.
	maxGap = 2 * MaxPayload
	// maxSearch is how far a file without a whole header is searched for frames, before it counts as a plain one.
	maxSearch = 1 << 20
)

// open finds the frames of a file that has size bytes: by its table, or one by one.
func (f *framed) open(size int64) error {
	if whole, err := f.readTable(size); whole || err != nil {
		return err
	}
	return f.scan(size)
}

// readTable reads the table with which the file ends. It returns false if there is none that is whole.
func (f *framed) readTable(size int64) (whole bool, err error) {
	var end [tableEnd]byte
	if size < fileHeaderSize+frameHeaderSize+tableEnd {
		return false, nil
	}
	if _, err := f.file.ReadAt(end[:], size-tableEnd); err != nil {
		return false, ignoreEnd(err)
	}
	at := int64(0)
	if string(end[:8]) == tableEndMagic {
		at = int64(decodeNumber(end[8:16])) //nolint:gosec // compared next
	}
	if at < fileHeaderSize || at > size-frameHeaderSize-tableEnd {
		return false, nil
	}
	b := make([]byte, size-at)
	if _, err := f.file.ReadAt(b, at); err != nil {
		return false, ignoreEnd(err)
	}
	h, whole := parseFrameHeader(b, f.seed)
	if !whole || h.kind != frameTable || h.stored != len(b)-frameHeaderSize {
		return false, nil
	}
	if f.runs, whole = parseTable(b[frameHeaderSize:], f.seed); !whole || f.runs.end() != h.offset {
		f.runs = runList{}
		return false, nil
	}
	f.to = size
	return true, nil
}

// scan goes over all frames. Behind one whose header is not whole it searches for the next.
func (f *framed) scan(size int64) error {
	f.to = fileHeaderSize
	rd := newReader(f.file, 0, fileHeaderSize, size)
	broken := false
	for {
		h, whole, err := f.frameAt(rd)
		if err != nil {
			return err
		}
		if !whole || broken && !f.follows(h) {
			broken = true
			rd.at++
			if err := rd.skip(); err != nil {
				return err
			}
			if rd.size-rd.at < frameHeaderSize {
				break
			}
			continue
		}
		if broken = h.offset > f.runs.end()+maxGap; !broken && h.kind&^frameBit != frameTable {
			f.runs.add(&h, rd.at)
		}
		rd.at += int64(h.size() + h.stored)
		f.to = rd.at
	}
	end, err := usedEnd(f.file, f.to, size)
	f.garbage = max(0, end-f.to)
	return err
}

// follows reports whether a frame may stand behind a broken one: what it has is content that comes later.
func (f *framed) follows(h frameHeader) bool {
	return h.offset >= f.runs.end() && h.kind&frameBit != 0 == (f.header.key != nil) && h.kind&frameFill == 0
}

// frameAt returns the header at rd.at, if it is whole and the frame lies within the file.
func (f *framed) frameAt(rd *reader) (h frameHeader, whole bool, err error) {
	size := min(encryptedHeaderSize, rd.size-rd.at)
	if size < frameHeaderSize {
		return h, false, nil
	}
	b, err := rd.bytes(rd.at, int(size))
	if errors.Is(err, errBroken) {
		return h, false, nil
	}
	if err != nil {
		return h, false, err
	}
	h, whole = parseFrameHeader(b, f.seed)
	return h, whole && int64(h.size()+h.stored) <= rd.size-rd.at, nil
}

// findFrame returns the first frame of a file whose header is not whole, as far as it is searched.
func (f *framed) findFrame(size int64) (h frameHeader, at int64, found bool, err error) {
	rd := newReader(f.file, 0, fileHeaderSize, min(size, maxSearch))
	for rd.size-rd.at >= frameHeaderSize {
		if h, found, err = f.frameAt(rd); found || err != nil {
			return h, rd.at, found, err
		}
		rd.at++
		if err := rd.skip(); err != nil {
			return h, 0, false, err
		}
	}
	return h, 0, false, nil
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

package log

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
)

// framesAtOnce bounds the frames that one call writes.
const framesAtOnce = 16

// framed is a file of frames that looks like a plain one. Offsets are those of the content: what is above knows no frame.
//
// One goroutine writes, as in all files of a log, and always at the end of the content or into a gap that it has left out. What cannot be read
// back, because a frame is broken or lost, reads as bytes of ones: no sum in the content holds over them, so it is what it would be in a plain file.
type framed struct {
	file   File
	layers *Layered
	name   string // without the ending of a temporary file; frames are bound to it
	seed   uint32
	header fileHeader
	// isHot is set for a file that grows and may be cut: each write is a frame at once. Another is written once, from the beginning to the end, in
	// full frames.
	isHot bool

	writing sync.Mutex // held while the file is changed; guards what follows
	cipher  cipher.AEAD
	salt    [saltSize]byte // of cipher
	nonce   uint32         // the last one that was used with cipher
	pending []byte         // of a file that is not hot: content that is no frame yet
	// pendingAt is the offset of pending.
	pendingAt int64
	buf       []byte
	packed    []byte // of one frame
	changed   bool   // since the last table

	mu      sync.RWMutex // guards what follows
	runs    runList
	to      int64 // the offset in the file behind the last frame
	garbage int64 // bytes behind that which are no frame, as found
	ciphers map[[saltSize]byte]cipher.AEAD
	id      uint64 // of the content in the cache; a cut changes it
}

// Size is the end of the content. Bytes behind it that are no frame count: what is above must see that there is something to cut.
func (f *framed) Size() (int64, error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.contentEnd() + f.garbage, nil
}

// contentEnd is the end of the content, with what is no frame yet.
func (f *framed) contentEnd() int64 {
	if len(f.pending) > 0 {
		return f.pendingAt + int64(len(f.pending))
	}
	return f.runs.end()
}

// WriteAt adds to the content, or fills a gap that was left out. Any other write before the end cuts the content there.
func (f *framed) WriteAt(p []byte, at int64) (n int, err error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	if f.garbage > 0 {
		if err := f.truncate(at); err != nil {
			return 0, err
		}
	}
	if at != f.contentEnd() {
		if err := f.flush(); err != nil {
			return 0, err
		}
	}
	if f.isHot || at < f.runs.end() {
		return f.write(p, at, f.isGap(at, int64(len(p))))
	}
	for n < len(p) {
		if len(f.pending) == 0 {
			f.pendingAt = at + int64(n)
		}
		size := min(len(p)-n, frameSize-len(f.pending))
		f.pending = append(f.pending, p[n:n+size]...)
		n += size
		if len(f.pending) == frameSize {
			if err := f.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// isGap reports whether a part of the content was left out.
func (f *framed) isGap(at, length int64) bool {
	i := f.runs.search(at)
	return i < len(f.runs.list) && f.runs.list[i].offset >= at+length
}

// flush makes a frame of what is pending.
func (f *framed) flush() error {
	if len(f.pending) == 0 {
		return nil
	}
	n, err := f.write(f.pending, f.pendingAt, false)
	f.pending = append(f.pending[:0], f.pending[n:]...)
	f.pendingAt += int64(n)
	return err
}

// write writes p as frames. After an error n bytes of the content are there.
func (f *framed) write(p []byte, at int64, isFill bool) (n int, err error) {
	for n < len(p) {
		headers, err := f.encode(p[n:], at+int64(n), isFill)
		if err != nil {
			return n, err
		}
		from := f.to
		written, err := writeAll(f.file, f.buf, from)
		f.mu.Lock()
		if at+int64(n) < f.runs.end() && !isFill {
			f.id = f.layers.newID()
		}
		if from == 0 && written >= fileHeaderSize {
			f.to = fileHeaderSize
		}
		for _, h := range headers {
			size := int64(h.size() + h.stored)
			if f.to+size > from+int64(written) || f.to == 0 {
				break // what there is of it is written again, with a nonce of its own
			}
			f.runs.add(&h, f.to)
			f.to += size
			n += h.length
			f.changed = true
		}
		f.mu.Unlock()
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// encode fills buf with the frames for the beginning of p, and with the header of a file that has none yet.
func (f *framed) encode(p []byte, at int64, isFill bool) (headers []frameHeader, err error) {
	f.buf = f.buf[:0]
	if f.to == 0 {
		f.buf = f.header.append(f.buf)
	}
	codec := f.layers.o.Compress
	if f.isHot && codec == CompressZstd {
		codec = CompressS2
	}
	for len(p) > 0 && len(headers) < framesAtOnce {
		content := p[:min(len(p), frameSize)]
		h := frameHeader{offset: at, length: len(content)}
		if isFill {
			h.kind = frameFill
		}
		if err := f.appendFrame(&h, content, codec); err != nil {
			return nil, err
		}
		headers = append(headers, h)
		p, at = p[len(content):], at+int64(len(content))
	}
	return headers, nil
}

// appendFrame adds a frame to buf.
func (f *framed) appendFrame(h *frameHeader, content []byte, codec Compression) error {
	if f.header.key != nil {
		h.kind |= frameBit
		if err := f.nextNonce(h); err != nil {
			return err
		}
	}
	start := len(f.buf)
	body := start + h.size()
	f.buf = append(f.buf, make([]byte, h.size())...)
	if f.header.key == nil {
		f.buf, codec = codec.compress(f.buf, content)
		h.kind |= byte(codec)
		h.stored = len(f.buf) - body
		h.put(f.buf[start:], f.seed)
		return nil
	}
	f.packed, codec = codec.compress(f.packed[:0], content)
	h.kind |= byte(codec)
	h.stored = len(f.packed) + tagSize
	h.put(f.buf[start:], f.seed)
	f.buf = f.cipher.Seal(f.buf, nonceOf(h.nonce), f.packed, f.bound(f.buf[start:body]))
	return nil
}

// bound is what a frame is bound to: its header, and the name of the file.
func (f *framed) bound(header []byte) []byte {
	return append(append(make([]byte, 0, len(header)+len(f.name)), header...), f.name...)
}

// nextNonce gives a frame a nonce that was never used with its subkey: the salt of a subkey is made anew each time that the file is opened.
func (f *framed) nextNonce(h *frameHeader) error {
	if f.cipher == nil || f.nonce == math.MaxUint32 {
		if _, err := rand.Read(f.salt[:]); err != nil {
			return fmt.Errorf("make a key for %s: %w", f.name, err)
		}
		f.cipher, f.nonce = f.header.key.cipher(f.salt), 0
	}
	f.nonce++
	h.nonce, h.salt = f.nonce, f.salt
	return nil
}

// Truncate ends the content at a size, and gives back what was allocated behind it.
func (f *framed) Truncate(size int64) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	if err := f.flush(); err != nil {
		return err
	}
	return f.truncate(size)
}

// truncate cuts whole frames off. Where the content ends inside of one, a frame without content cuts it there: behind all others, so that an
// earlier cut is not lost to a crash in between.
func (f *framed) truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id = f.layers.newID()
	end := f.runs.end()
	f.runs.cut(size)
	f.garbage = 0
	if size < end {
		f.changed = true
		if err := f.endAt(size); err != nil {
			return err
		}
	}
	return f.file.Truncate(f.to)
}

// endAt makes the end of the file that of the content.
func (f *framed) endAt(size int64) error {
	n := len(f.runs.list)
	if n == 0 {
		f.to = min(f.to, fileHeaderSize)
		return nil
	}
	last := &f.runs.list[n-1]
	to, isInside, err := f.boundary(*last, size)
	if err != nil {
		return err
	}
	if !isInside {
		last.to, f.to = to, to
		return nil
	}
	h := frameHeader{kind: frameCut, offset: size}
	b := make([]byte, frameHeaderSize)
	h.put(b, f.seed)
	if _, err := writeAll(f.file, b, f.to); err != nil {
		return err
	}
	f.to += frameHeaderSize
	return nil
}

// boundary returns the offset in the file behind the last frame of a run that has content before size, and whether that frame has content
// behind it, too.
func (f *framed) boundary(r run, size int64) (to int64, isInside bool, err error) {
	to = r.from
	b, err := f.stored(r, new([]byte))
	if err != nil {
		return 0, false, err
	}
	eachFrame(b, f.seed, func(h frameHeader, at int, _ []byte) {
		if h.offset < size {
			to, isInside = r.from+int64(at+h.size()+h.stored), h.end() > size
		}
	})
	return to, isInside, nil
}

// Allocate makes the file at least that long. How much content that is depends on the content.
func (f *framed) Allocate(size int64) error { return f.file.Allocate(size) }

// Sync makes the content durable. One that is written once gets a table of its frames.
func (f *framed) Sync() error {
	if !f.isHot {
		if err := f.finish(); err != nil {
			return err
		}
	}
	return f.file.Sync()
}

// finish writes the table of the frames: nothing more comes for now, and the next start reads it in their place.
func (f *framed) finish() error {
	f.writing.Lock()
	defer f.writing.Unlock()
	if err := f.flush(); err != nil || !f.changed {
		return err
	}
	f.buf = f.runs.appendTable(f.buf[:0], f.to, f.seed)
	if _, err := writeAll(f.file, f.buf, f.to); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to += int64(len(f.buf))
	f.changed = false
	return nil
}

// Close closes the file. What is pending was to be synced first.
func (f *framed) Close() error { return f.file.Close() }

// isUnfinished reports whether the file must not be closed and opened again for now: a part of the content is in memory alone.
func (f *framed) isUnfinished() bool {
	f.writing.Lock()
	defer f.writing.Unlock()
	return !f.isHot && f.changed || len(f.pending) > 0
}

// ReadAt reads the content.
func (f *framed) ReadAt(p []byte, at int64) (n int, err error) {
	if at < 0 {
		return 0, fmt.Errorf("read %s at %d: a negative offset", f.name, at)
	}
	if err := f.flushAll(); err != nil {
		return 0, err
	}
	for n < len(p) {
		r, id, gap, err := f.runAt(at + int64(n))
		if err != nil {
			return n, err
		}
		if gap > 0 {
			n += fillOnes(p[n:min(int64(len(p)), int64(n)+gap)])
			continue
		}
		from := at + int64(n) - r.offset
		if length := r.end - r.offset; from == 0 && int64(len(p)-n) >= length {
			err = f.readRun(r, p[n:int64(n)+length])
			n += int(length)
		} else {
			var b []byte
			b, err = f.layers.content(f, r, id)
			n += copy(p[n:], b[min(from, int64(len(b))):])
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// flushAll lets readers see all that was written.
func (f *framed) flushAll() error {
	if f.isHot {
		return nil
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	return f.flush()
}

// runAt returns the run at an offset, and the id of its content; or the length of a gap there. The error is io.EOF at the end.
func (f *framed) runAt(at int64) (r run, id uint64, gap int64, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	i := f.runs.search(at)
	if i == len(f.runs.list) {
		if gap = f.runs.end() + f.garbage - at; gap > 0 {
			return r, 0, gap, nil
		}
		return r, 0, 0, io.EOF
	}
	r = f.runs.list[i]
	return r, f.id, max(0, r.offset-at), nil
}

func fillOnes(p []byte) int {
	for i := range p {
		p[i] = 0xff
	}
	return len(p)
}

// readRun reads all content of a run.
func (f *framed) readRun(r run, dst []byte) error {
	buf, _ := frameBuffers.Get().(*[]byte)
	defer frameBuffers.Put(buf)
	b, err := f.stored(r, buf)
	if err != nil {
		return err
	}
	done := int64(0) // in dst
	var spare []byte
	eachFrame(b, f.seed, func(h frameHeader, at int, body []byte) {
		from, to := max(0, h.offset-r.offset), min(h.end(), r.end)-r.offset
		if from < done || to <= from {
			return
		}
		fillOnes(dst[done:from])
		if content := dst[from:to]; len(content) < h.length {
			spare = append(spare[:0], make([]byte, h.length)...)
			if f.decode(&h, b[at:at+h.size()], body, spare) {
				copy(content, spare)
			} else {
				fillOnes(content)
			}
		} else if !f.decode(&h, b[at:at+h.size()], body, content) {
			fillOnes(content)
		}
		done = to
	})
	fillOnes(dst[done:])
	return nil
}

// frameBuffers are for what is read from files.
var frameBuffers = sync.Pool{New: func() any { return new([]byte) }}

// stored reads the frames of a run as they are in the file, into buf.
func (f *framed) stored(r run, buf *[]byte) ([]byte, error) {
	size := int(r.to - r.from)
	*buf = slices.Grow((*buf)[:0], size)[:size]
	b := *buf
	n, err := f.file.ReadAt(b, r.from)
	if errors.Is(err, io.EOF) {
		err = nil // a file that was cut by another hand: what is missing is lost
	}
	return b[:n], err
}

// eachFrame calls f for each frame in b that is whole as far as its header shows, with its offset in b and what stands behind its header.
func eachFrame(b []byte, seed uint32, f func(h frameHeader, at int, body []byte)) {
	for at := 0; at < len(b); {
		h, whole := parseFrameHeader(b[at:], seed)
		body := at + h.size()
		if !whole || len(b)-body < h.stored {
			at++ // the next frame stands somewhere behind it
			continue
		}
		f(h, at, b[body:body+h.stored])
		at = body + h.stored
	}
}

// decode writes the content of a frame to dst. The body changes.
func (f *framed) decode(h *frameHeader, header, body, dst []byte) bool {
	if h.kind&frameBit != 0 {
		if f.header.key == nil {
			return false
		}
		var err error
		if body, err = f.cipherFor(h.salt).Open(body[:0], nonceOf(h.nonce), body, f.bound(header)); err != nil {
			return false
		}
	} else if f.header.key != nil {
		return false // a frame that is not authentic
	}
	return Compression(h.kind&^(frameBit|frameFill)).decompress(dst, body)
}

// maxCiphers bounds the subkeys of a file that are kept.
const maxCiphers = 64

// cipherFor returns the cipher of a salt.
func (f *framed) cipherFor(salt [saltSize]byte) cipher.AEAD {
	f.mu.RLock()
	c := f.ciphers[salt]
	f.mu.RUnlock()
	if c != nil {
		return c
	}
	c = f.header.key.cipher(salt)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ciphers == nil || len(f.ciphers) >= maxCiphers {
		f.ciphers = make(map[[saltSize]byte]cipher.AEAD)
	}
	f.ciphers[salt] = c
	return c
}

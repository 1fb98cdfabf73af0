package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
)

// kind is the first byte of a reply. All three forms of null are kindNull.
type kind byte

const (
	kindSimple    kind = '+'
	kindError     kind = '-' // also those that RESP3 sends with a length
	kindInteger   kind = ':'
	kindBulk      kind = '$' // also verbatim text, without its format
	kindArray     kind = '*'
	kindNull      kind = '_'
	kindBoolean   kind = '#' // integer is 0 or 1
	kindDouble    kind = ',' // bytes, as it came
	kindBigNumber kind = '(' // bytes, as it came
	kindMap       kind = '%' // elements are key, value, key, value
	kindSet       kind = '~'
	kindPush      kind = '>'

	kindBlobError kind = '!'
	kindVerbatim  kind = '='
	kindAttribute kind = '|'
)

// reply is one value of RESP2 or RESP3. Its bytes and elements belong to the reader and are valid until the next call
// of read.
type reply struct {
	kind     kind
	integer  int64
	bytes    []byte
	elements []reply
}

// isText reports whether the reply is the text s.
func (r *reply) isText(s string) bool {
	return (r.kind == kindBulk || r.kind == kindSimple) && string(r.bytes) == s
}

// isCount reports whether the reply is an integer that is not negative.
func (r *reply) isCount() bool { return r.kind == kindInteger && r.integer >= 0 }

// Limits of one reply, besides Options.MaxMessage. No known server comes near them.
const (
	maxLine     = 32 << 10 // of types without a length: lengths, integers, errors. Also the size of the read buffer
	maxDepth    = 8        // of arrays in arrays
	maxElements = 1 << 16  // in one reply, of all depths together

	maxEntryElements = 1 << 21 // the same in an entry of a stream: a million fields
)

// replyReader parses what a server sends. One goroutine at a time uses it.
//
// Memory is bounded by what has arrived: an announced length allocates nothing before its bytes are there. Integers,
// lines and flat pushes allocate nothing once the buffers have grown.
type replyReader struct {
	in           *bufio.Reader
	maxBulk      int
	maxElements  int
	text         []byte  // of the current reply. Slices into an outgrown array stay valid
	elements     []reply // of the current reply itself; nested ones are allocated
	elementCount int     // in the current reply so far
}

func newReplyReader(in io.Reader, maxBulk int) *replyReader {
	return &replyReader{in: bufio.NewReaderSize(in, maxLine), maxBulk: maxBulk, maxElements: maxElements}
}

// buffered returns how many bytes are read and not parsed. If 0, read may block.
func (r *replyReader) buffered() int { return r.in.Buffered() }

// maxKept bounds the bytes, and maxKeptElements the elements, of the buffers that a reader keeps. Larger buffers are
// released after use.
const (
	maxKept         = 256 << 10
	maxKeptElements = 1 << 10
)

// read returns the next reply. The error is io.EOF if the server closed between two replies, io.ErrUnexpectedEOF within
// one, wraps ErrMalformed, or is that of the socket. After an error the reader is unusable.
func (r *replyReader) read() (reply, error) {
	if err := r.begin(); err != nil {
		return reply{}, err
	}
	v, err := r.readValue(0)
	return v, unexpectedEOF(err)
}

// readHead is read for replies whose elements are read one by one: of an array or a map it reads the head alone, and
// integer is the number of elements or pairs that follow. Any other reply is read whole.
func (r *replyReader) readHead() (reply, error) {
	if err := r.begin(); err != nil {
		return reply{}, err
	}
	line, err := r.readFirstLine(0)
	if err != nil {
		return reply{}, unexpectedEOF(err)
	}
	v := reply{kind: kind(line[0])}
	if v.kind != kindArray && v.kind != kindMap {
		v, err = r.readAfter(line, 0)
		return v, unexpectedEOF(err)
	}
	n, err := parseLength(line[1:])
	switch {
	case err != nil:
		return v, err
	case n < 0 && v.kind == kindMap:
		return v, malformed("an aggregate of negative length")
	case n < 0:
		return reply{kind: kindNull}, nil
	}
	v.integer = int64(n)
	return v, nil
}

// begin releases the reply before and waits for the first byte of the next one.
func (r *replyReader) begin() error {
	r.text, r.elements, r.elementCount = r.text[:0], r.elements[:0], 0
	if cap(r.text) > maxKept {
		r.text = nil
	}
	if cap(r.elements) > maxKeptElements {
		r.elements = nil
	}
	_, err := r.in.Peek(1)
	return err //nolint:wrapcheck // the socket's, the caller names it
}

// readValue reads one value. The depth of the reply itself is 0.
func (r *replyReader) readValue(depth int) (reply, error) {
	line, err := r.readFirstLine(depth)
	if err != nil {
		return reply{}, err
	}
	return r.readAfter(line, depth)
}

// readFirstLine reads the first line of a value, and skips attributes before it.
func (r *replyReader) readFirstLine(depth int) ([]byte, error) {
	line, err := r.readLine()
	for err == nil && kind(line[0]) == kindAttribute {
		v := reply{kind: kindAttribute}
		if err = r.readAggregate(&v, line[1:], depth+1); err == nil {
			line, err = r.readLine()
		}
	}
	return line, err
}

// readAfter reads the rest of a value behind its first line.
func (r *replyReader) readAfter(line []byte, depth int) (v reply, err error) {
	v = reply{kind: kind(line[0])}
	rest := line[1:]
	switch v.kind {
	case kindSimple, kindError, kindDouble, kindBigNumber:
		v.bytes = r.copyText(rest)
	case kindInteger:
		v.integer, err = parseInteger(rest)
	case kindBoolean:
		v.integer, err = parseBoolean(rest)
	case kindNull:
		if len(rest) > 0 {
			err = malformed("a null with text %.40q", rest)
		}
	case kindBulk, kindBlobError, kindVerbatim:
		err = r.readBlob(&v, rest)
	case kindArray, kindMap, kindSet, kindPush:
		err = r.readAggregate(&v, rest, depth)
	default:
		err = malformed("a reply that begins with %q", line[0])
	}
	return v, err
}

// readLine reads up to CR LF. It returns at least one byte, valid until the next read.
func (r *replyReader) readLine() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, malformed("a line of more than %d bytes: %.40q", maxLine, line)
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // the socket's, the caller names it
	}
	switch end := bytes.IndexByte(line, '\r'); {
	case end < 0:
		return nil, malformed("a line that ends without CR: %.40q", line)
	case end < len(line)-2:
		return nil, malformed("a CR within a line: %.40q", line)
	case end == 0:
		return nil, malformed("an empty line")
	}
	return line[:len(line)-2], nil
}

// copyText copies a text to where it is valid until the next reply.
func (r *replyReader) copyText(text []byte) []byte {
	from := len(r.text)
	r.text = append(r.text, text...)
	return r.text[from:len(r.text):len(r.text)]
}

// readBlob reads a text with a length.
func (r *replyReader) readBlob(v *reply, length []byte) error {
	n, err := parseLength(length)
	switch {
	case err != nil:
		return err
	case n < 0 && v.kind == kindBulk:
		v.kind = kindNull
		return nil
	case n < 0:
		return malformed("a text of negative length")
	case n > r.maxBulk:
		return malformed("a text of %d bytes, more than the limit of %d", n, r.maxBulk)
	}
	if v.bytes, err = r.readText(n); err != nil {
		return err
	}
	switch v.kind {
	case kindBlobError:
		v.kind = kindError
	case kindVerbatim:
		if len(v.bytes) < 4 || v.bytes[3] != ':' {
			return malformed("a verbatim text without its format: %.40q", v.bytes)
		}
		v.kind, v.bytes = kindBulk, v.bytes[4:]
	}
	return nil
}

// readText reads n bytes and CR LF. It grows the buffer as bytes arrive, at most doubling it.
func (r *replyReader) readText(n int) ([]byte, error) {
	from := len(r.text)
	for {
		got := len(r.text) - from
		if got == n {
			break
		}
		some := min(n-got, max(4<<10, got))
		r.text = slices.Grow(r.text, some)
		r.text = r.text[:from+got+some]
		if _, err := io.ReadFull(r.in, r.text[from+got:]); err != nil {
			return nil, unexpectedEOF(err)
		}
	}
	for _, want := range "\r\n" {
		if c, err := r.in.ReadByte(); err != nil {
			return nil, unexpectedEOF(err)
		} else if c != byte(want) {
			return nil, malformed("a text of %d bytes without CR LF behind it", n)
		}
	}
	return r.text[from:len(r.text):len(r.text)], nil
}

// readAggregate reads an array, map, set, push or attribute.
func (r *replyReader) readAggregate(v *reply, length []byte, depth int) error {
	n, err := parseLength(length)
	switch {
	case err != nil:
		return err
	case n < 0 && v.kind == kindArray:
		v.kind = kindNull
		return nil
	case n < 0:
		return malformed("an aggregate of negative length")
	case n > r.maxElements-r.elementCount:
		return malformed("a reply of more than %d elements", r.maxElements)
	case depth >= maxDepth:
		return malformed("a reply of more than %d levels", maxDepth)
	}
	return r.readElements(v, n, depth)
}

// readElements reads n values, or n pairs.
func (r *replyReader) readElements(v *reply, n, depth int) error {
	if v.kind == kindMap || v.kind == kindAttribute {
		n *= 2
	}
	r.elementCount += n + 1
	if depth == 0 {
		v.elements = r.elements
	}
	for range n {
		element, err := r.readValue(depth + 1)
		if err != nil {
			return err
		}
		v.elements = append(v.elements, element)
	}
	if depth == 0 {
		r.elements = v.elements
	}
	return nil
}

// unexpectedEOF turns an end within a text into io.ErrUnexpectedEOF.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseLength parses a length, which is at least -1.
func parseLength(digits []byte) (int, error) {
	n, err := strconv.ParseInt(string(digits), 10, 32)
	if err != nil || n < -1 || digits[0] == '+' {
		return 0, malformed("%.40q is not a length", digits)
	}
	return int(n), nil
}

func parseInteger(digits []byte) (int64, error) {
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return 0, malformed("%.40q is not an integer", digits)
	}
	return n, nil
}

func parseBoolean(letter []byte) (int64, error) {
	switch string(letter) {
	case "t":
		return 1, nil
	case "f":
		return 0, nil
	}
	return 0, malformed("%.40q is not a boolean", letter)
}

package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
)

// kind is the byte that a reply begins with. Nulls are all kindNull, in whichever of their three forms they came.
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

// reply is one value of RESP2 or RESP3. What bytes and elements refer to is the reader's, and holds until the next
// call of read.
type reply struct {
	kind     kind
	integer  int64
	bytes    []byte
	elements []reply
}

// isText tells whether the reply is a text that says this.
func (r *reply) isText(s string) bool {
	return (r.kind == kindBulk || r.kind == kindSimple) && string(r.bytes) == s
}

// isCount tells whether the reply is an integer that can be a number of something.
func (r *reply) isCount() bool { return r.kind == kindInteger && r.integer >= 0 }

// Limits of what one reply may be, besides Options.MaxMessage. No server that is used by this package comes near them.
const (
	maxLine     = 32 << 10 // of what has no length of its own: lengths, integers, errors. It is the read buffer
	maxDepth    = 8        // of arrays in arrays
	maxElements = 1 << 16  // in one reply, those of all depths together
)

// replyReader takes what a server sends apart. It is used by one goroutine at a time.
//
// Everything is bounded by what has arrived: a length that is announced costs nothing until the bytes are there. On a
// reply that is an integer, a line or a flat push it allocates nothing, once its buffers have grown to what comes.
type replyReader struct {
	in           *bufio.Reader
	maxBulk      int
	text         []byte  // the texts of the current reply. When it moves, what refers to the old place still holds
	elements     []reply // the elements of the current reply itself; deeper ones are allocated
	elementCount int     // elements so far
}

func newReplyReader(in io.Reader, maxBulk int) *replyReader {
	return &replyReader{in: bufio.NewReaderSize(in, maxLine), maxBulk: maxBulk}
}

// buffered is how many bytes have been read from the server and not been returned. When it is 0, read may block.
func (r *replyReader) buffered() int { return r.in.Buffered() }

// keep is how many bytes of texts, and keepElements how many elements, a reader keeps room for. What a larger reply
// took is given back.
const (
	maxKept         = 256 << 10
	maxKeptElements = 1 << 10
)

// read returns the next reply. The error is io.EOF when the server closed between two replies, io.ErrUnexpectedEOF
// within one, wraps ErrMalformed, or is the socket's; after any, the reader is of no further use.
func (r *replyReader) read() (reply, error) {
	r.text, r.elements, r.elementCount = r.text[:0], r.elements[:0], 0
	if cap(r.text) > maxKept {
		r.text = nil
	}
	if cap(r.elements) > maxKeptElements {
		r.elements = nil
	}
	if _, err := r.in.Peek(1); err != nil {
		return reply{}, err //nolint:wrapcheck // the socket's, named by whoever reads
	}
	v, err := r.readValue(0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return v, err
}

// readValue reads one value, at a depth of 0 for the reply itself.
func (r *replyReader) readValue(depth int) (v reply, err error) {
	line, err := r.readLine()
	for err == nil && kind(line[0]) == kindAttribute { // it says something about the value behind it
		v.kind = kindAttribute
		if err = r.readAggregate(&v, line[1:], depth+1); err == nil {
			line, err = r.readLine()
		}
	}
	if err != nil {
		return v, err
	}
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

// readLine reads up to CR LF, and returns at least one byte, which holds until more is read.
func (r *replyReader) readLine() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, malformed("a line of more than %d bytes: %.40q", maxLine, line)
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // the socket's, named by whoever reads
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

// copyText copies a text to where it holds until the next reply.
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

// readText reads n bytes and CR LF. It makes room as the bytes come: at most as much again as there already is.
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

// readAggregate reads the elements of an array and the like.
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
	case n > maxElements-r.elementCount:
		return malformed("a reply of more than %d elements", maxElements)
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

// unexpectedEOF is the error for an end within a text.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseLength reads a length. It is -1 at least.
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

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

// says tells whether the reply is a text that says this.
func (r *reply) says(s string) bool {
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
	in      *bufio.Reader
	maxBulk int
	body    []byte  // the texts of the current reply. When it moves, what refers to the old place still holds
	top     []reply // the elements of the current reply itself; deeper ones are allocated
	count   int     // elements so far
}

func newReplyReader(in io.Reader, maxBulk int) *replyReader {
	return &replyReader{in: bufio.NewReaderSize(in, maxLine), maxBulk: maxBulk}
}

// buffered is how many bytes have been read from the server and not been returned. When it is 0, read may block.
func (r *replyReader) buffered() int { return r.in.Buffered() }

// keep is how many bytes of texts, and keepElements how many elements, a reader keeps room for. What a larger reply
// took is given back.
const (
	keep         = 256 << 10
	keepElements = 1 << 10
)

// read returns the next reply. The error is io.EOF when the server closed between two replies, io.ErrUnexpectedEOF
// within one, wraps ErrMalformed, or is the socket's; after any, the reader is of no further use.
func (r *replyReader) read() (reply, error) {
	r.body, r.top, r.count = r.body[:0], r.top[:0], 0
	if cap(r.body) > keep {
		r.body = nil
	}
	if cap(r.top) > keepElements {
		r.top = nil
	}
	if _, err := r.in.Peek(1); err != nil {
		return reply{}, err //nolint:wrapcheck // the socket's, named by whoever reads
	}
	v, err := r.value(0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return v, err
}

// value reads one value, at a depth of 0 for the reply itself.
func (r *replyReader) value(depth int) (v reply, err error) {
	line, err := r.line()
	for err == nil && kind(line[0]) == kindAttribute { // it says something about the value behind it
		v.kind = kindAttribute
		if err = r.aggregate(&v, line[1:], depth+1); err == nil {
			line, err = r.line()
		}
	}
	if err != nil {
		return v, err
	}
	v = reply{kind: kind(line[0])}
	rest := line[1:]
	switch v.kind {
	case kindSimple, kindError, kindDouble, kindBigNumber:
		v.bytes = r.hold(rest)
	case kindInteger:
		v.integer, err = integer(rest)
	case kindBoolean:
		v.integer, err = boolean(rest)
	case kindNull:
		if len(rest) > 0 {
			err = malformed("a null that says %.40q", rest)
		}
	case kindBulk, kindBlobError, kindVerbatim:
		err = r.blob(&v, rest)
	case kindArray, kindMap, kindSet, kindPush:
		err = r.aggregate(&v, rest, depth)
	default:
		err = malformed("a reply that begins with %q", line[0])
	}
	return v, err
}

// line reads up to CR LF, and returns at least one byte, which holds until more is read.
func (r *replyReader) line() ([]byte, error) {
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

// hold copies a text to where it holds until the next reply.
func (r *replyReader) hold(text []byte) []byte {
	from := len(r.body)
	r.body = append(r.body, text...)
	return r.body[from:len(r.body):len(r.body)]
}

// blob reads a text with a length.
func (r *replyReader) blob(v *reply, length []byte) error {
	n, err := size(length)
	switch {
	case err != nil:
		return err
	case n < 0 && v.kind == kindBulk:
		v.kind = kindNull
		return nil
	case n < 0:
		return malformed("a text of negative length")
	case n > r.maxBulk:
		return malformed("a text of %d bytes, of which at most %d are taken", n, r.maxBulk)
	}
	if v.bytes, err = r.text(n); err != nil {
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

// text reads n bytes and CR LF. It makes room as the bytes come: at most as much again as there already is.
func (r *replyReader) text(n int) ([]byte, error) {
	from := len(r.body)
	for {
		got := len(r.body) - from
		if got == n {
			break
		}
		some := min(n-got, max(4<<10, got))
		r.body = slices.Grow(r.body, some)
		r.body = r.body[:from+got+some]
		if _, err := io.ReadFull(r.in, r.body[from+got:]); err != nil {
			return nil, unexpected(err)
		}
	}
	for _, want := range "\r\n" {
		if c, err := r.in.ReadByte(); err != nil {
			return nil, unexpected(err)
		} else if c != byte(want) {
			return nil, malformed("a text of %d bytes that goes on behind them", n)
		}
	}
	return r.body[from:len(r.body):len(r.body)], nil
}

// aggregate reads the elements of an array and the like.
func (r *replyReader) aggregate(v *reply, length []byte, depth int) error {
	n, err := size(length)
	switch {
	case err != nil:
		return err
	case n < 0 && v.kind == kindArray:
		v.kind = kindNull
		return nil
	case n < 0:
		return malformed("an aggregate of negative length")
	case n > maxElements-r.count:
		return malformed("a reply of more than %d elements", maxElements)
	case depth >= maxDepth:
		return malformed("a reply of more than %d levels", maxDepth)
	}
	return r.elements(v, n, depth)
}

// elements reads n values, or n pairs.
func (r *replyReader) elements(v *reply, n, depth int) error {
	if v.kind == kindMap || v.kind == kindAttribute {
		n *= 2
	}
	r.count += n + 1
	if depth == 0 {
		v.elements = r.top
	}
	for range n {
		element, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		v.elements = append(v.elements, element)
	}
	if depth == 0 {
		r.top = v.elements
	}
	return nil
}

// unexpected is the error for an end within a text.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// size reads a length. It is -1 at least.
func size(digits []byte) (int, error) {
	n, err := strconv.ParseInt(string(digits), 10, 32)
	if err != nil || n < -1 || digits[0] == '+' {
		return 0, malformed("%.40q is no length", digits)
	}
	return int(n), nil
}

func integer(digits []byte) (int64, error) {
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return 0, malformed("%.40q is no integer", digits)
	}
	return n, nil
}

func boolean(letter []byte) (int64, error) {
	switch string(letter) {
	case "t":
		return 1, nil
	case "f":
		return 0, nil
	}
	return 0, malformed("%.40q is no boolean", letter)
}

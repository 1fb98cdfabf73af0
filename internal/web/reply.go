package web

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// replyReader parses the RESP3 replies of a conn. The bytes are conch's own, so a malformed one is
// a defect.
//
// A value is an int64, a float64, a bool, text as []byte, a list as []any, a map as pairs, or nil.
type replyReader struct {
	in *bufio.Reader
	// size is about the memory that the values of the current reply take; grown is called as it grows.
	size  int
	grown func()
}

// pairs is a map in its order: key, value, key, value.
type pairs []any

// errorReply is the reply to a command that was refused.
type errorReply struct{ code, text string }

func (e *errorReply) Error() string { return e.code + " " + e.text }

// next returns the next reply, or the next value of a list. Push frames are no replies, and skipped: the close notice is one.
func (r *replyReader) next() (any, error) {
	if err := r.skipPushes(); err != nil {
		return nil, err
	}
	return r.value()
}

// length returns the length of a reply that is a list or a map, nil included. The caller takes each of its values by next, so that
// they are not in memory together.
func (r *replyReader) length() (int, error) {
	if err := r.skipPushes(); err != nil {
		return 0, err
	}
	if kind, _ := r.in.Peek(1); kind[0] != '*' && kind[0] != '%' {
		v, err := r.value()
		if err == nil && v != nil {
			err = fmt.Errorf("a defect in a reply: %v is no list", v)
		}
		return 0, err
	}
	line, err := r.in.ReadBytes('\n')
	if err != nil {
		return 0, err //nolint:wrapcheck // the caller has the reason
	}
	return strconv.Atoi(string(bytes.TrimSuffix(line[1:], []byte("\r\n"))))
}

// skipPushes reads up to a reply, or to the next value of one. It begins its count of memory.
func (r *replyReader) skipPushes() error {
	r.grow(-r.size)
	for {
		kind, err := r.in.Peek(1)
		if err != nil || kind[0] != '>' {
			return err //nolint:wrapcheck // the caller has the reason
		}
		if _, err := r.value(); err != nil {
			return err
		}
	}
}

func (r *replyReader) value() (any, error) {
	line, err := r.in.ReadBytes('\n')
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller has the reason
	}
	kind, text := line[0], line[1:len(line)-2]
	switch kind {
	case '+', '(':
		return text, nil
	case '-':
		code, rest, _ := strings.Cut(string(text), " ")
		return nil, &errorReply{code, rest}
	case ':':
		return strconv.ParseInt(string(text), 10, 64)
	case ',':
		return strconv.ParseFloat(string(text), 64)
	case '#':
		return string(text) == "t", nil
	case '_':
		return nil, nil
	}
	n, err := strconv.Atoi(string(text))
	switch {
	case err != nil:
		return nil, fmt.Errorf("a defect in a reply: %q", line)
	case n < 0:
		return nil, nil
	case kind == '$' || kind == '=':
		return r.blob(kind, n)
	case kind == '%':
		v, err := r.list(2 * n)
		return pairs(v), err
	}
	return r.list(n)
}

// valueSize is about what a value takes in memory, besides the bytes of a text.
const valueSize = 48

// grow counts n bytes more.
func (r *replyReader) grow(n int) {
	if r.size += n; r.grown != nil {
		r.grown()
	}
}

// blob reads a text with a length; verbatim text without its format.
func (r *replyReader) blob(kind byte, n int) (any, error) {
	r.grow(n)
	b := make([]byte, n+2)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, err //nolint:wrapcheck // the caller has the reason
	}
	if b = b[:n]; kind == '=' {
		_, b, _ = bytes.Cut(b, []byte(":"))
	}
	return b, nil
}

// list reads n values. An error among them, as in the reply to EXEC, is a value.
func (r *replyReader) list(n int) ([]any, error) {
	r.grow(valueSize * n)
	all := make([]any, 0, n)
	for range n {
		v, err := r.value()
		refused, isReply := err.(*errorReply) //nolint:errorlint // value returns it as it is
		switch {
		case isReply:
			v = refused
		case err != nil:
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

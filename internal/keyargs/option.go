package keyargs

import (
	"bytes"

	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// is reports whether an argument is a word, whatever its letter case. word is in upper case.
func is(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i, c := range arg {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// integer parses a whole number.
func integer(arg []byte) (int64, *protocol.Error) {
	if n, ok := protocol.ParseInt(arg); ok {
		return n, nil
	}
	return 0, errNotInteger
}

// parseID parses an id. One without a number gets 0.
func parseID(arg []byte) (stream.ID, *protocol.Error) {
	id, err := stream.ParseID(arg, 0)
	if err != nil {
		return id, streamError(err)
	}
	return id, nil
}

// streamError is an error of package stream, whose texts are Redis' without the code.
func streamError(err error) *protocol.Error { return protocol.Errorf("%s", err) }

// cString cuts text at its first zero byte, as C does.
func cString(text []byte) []byte {
	if end := bytes.IndexByte(text, 0); end >= 0 {
		return text[:end]
	}
	return text
}

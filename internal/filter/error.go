package filter

import (
	"fmt"
	"strings"
)

// Error is the error of an invalid expression.
type Error struct {
	Column int    // in characters, not bytes, from 1; one after the last if the end is missing
	Text   string // one line: the error, and a correction if there is one
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Text) }

// Caret returns a line that marks the column when printed below the expression.
func (e *Error) Caret() string { return strings.Repeat(" ", e.Column-1) + "^" }

// errorAt returns an error at an offset of the parser, which counts characters from 0.
func errorAt(place int, format string, args ...any) *Error {
	return &Error{Column: place + 1, Text: fmt.Sprintf(format, args...)}
}

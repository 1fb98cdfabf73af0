package filter

import (
	"fmt"
	"strings"
)

// Error says why an expression is refused.
type Error struct {
	Column int    // where, counted in characters (not bytes) from 1; one behind the last if something is missing there
	Text   string // what is wrong, in one line, and what to write instead where that is known
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Text) }

// Caret is a line that points at the column when it stands below the expression.
func (e *Error) Caret() string { return strings.Repeat(" ", e.Column-1) + "^" }

// errorAt makes an error at a place that the parser counts from 0.
func errorAt(place int, format string, args ...any) *Error {
	return &Error{Column: place + 1, Text: fmt.Sprintf(format, args...)}
}

package connect

import "fmt"

// TextError is an error within a text of a connector: an address, a template. The text itself is not part of it, because an address
// may have a password.
type TextError struct {
	Column int // in bytes, counted from 1
	Text   string
}

func (e *TextError) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Text) }

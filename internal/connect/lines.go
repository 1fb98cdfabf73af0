package connect

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// ErrLineFeed is why a sink of lines refuses a message.
var ErrLineFeed = errors.New("a line cannot have a line feed: use format=json")

// Lines reads lines, without CR LF or LF at their ends. Of a longer one than the limit it keeps the first bytes, more than limit, and reads
// past the others: so the engine sees that the message is too large, and no line takes more memory.
type Lines struct {
	from  *bufio.Reader
	limit int
	line  []byte // what has come of the line that is not at its end
	size  int64  // of it, with what was not kept
}

// NewLines returns the lines of a reader.
func NewLines(from io.Reader, limit int) *Lines {
	return &Lines{from: bufio.NewReaderSize(from, 64<<10), limit: limit}
}

// Next returns the next line, which is the caller's, and its size with its end. An error leaves in place what has come of a line: Next goes
// on there, if the reader does.
func (l *Lines) Next() (line []byte, size int64, err error) {
	for {
		part, err := l.from.ReadSlice('\n')
		l.size += int64(len(part))
		l.line = append(l.line, part[:min(len(part), max(0, l.limit+3-len(l.line)))]...)
		if err == nil {
			line, size = l.line, l.size
			l.line, l.size = nil, 0
			return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), size, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, 0, err //nolint:wrapcheck // of the reader
		}
	}
}

// Reset goes on with another reader, behind what was read of the one before.
func (l *Lines) Reset(from io.Reader) {
	rest, _ := l.from.Peek(l.from.Buffered()) // nothing is read
	l.from = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(rest)), from), 64<<10)
}

// Rest returns what has come of a line whose end never comes.
func (l *Lines) Rest() (line []byte, size int64) {
	line, size = l.line, l.size
	l.line, l.size = nil, 0
	return line, size
}

// LineFormat is how a sink writes a message as a line: its payload, or a JSON object.
type LineFormat bool

// TakeLineFormat takes the option format out of an address.
func (a *Address) TakeLineFormat() (LineFormat, error) {
	switch a.Take("format") {
	case "", "text":
		return false, nil
	case "json":
		return true, nil
	}
	return false, errors.New("format is text, for the payload, or json, for an object with topic, id, headers and payload")
}

// Append appends a message as a line.
func (f LineFormat) Append(dst []byte, m *Message) ([]byte, error) {
	if f {
		return append(m.AppendJSON(dst), '\n'), nil
	}
	if bytes.IndexByte(m.Payload, '\n') >= 0 {
		return dst, ErrLineFeed
	}
	return append(append(dst, m.Payload...), '\n'), nil
}

// AppendAll appends all messages that can be lines, and returns the others.
func (f LineFormat) AppendAll(dst []byte, batch []Message) ([]byte, *Refusals) {
	refused := &Refusals{}
	for i := range batch {
		var err error
		if dst, err = f.Append(dst, &batch[i]); err != nil {
			refused.Add(i, err)
		}
	}
	return dst, refused
}

package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/conchmq/conch/protocol"
)

// unackedFile collects messages that are not acknowledged, a line each, in a file or on standard error.
type unackedFile struct {
	file   *os.File // nil: standard error
	out    *bufio.Writer
	shown  bool // standard error is a terminal: escape control bytes
	count  int
	cut    bool // a line on standard error is not whole
	within bool // addRaw is inside a line
	buffer []byte
}

// openUnackedFile creates the file at once, so that an error comes before anything is published. An existing file may be
// the rest of an earlier run, and is an error.
func openUnackedFile(name string, stderr io.Writer) (*unackedFile, error) {
	if name == "" {
		return &unackedFile{out: bufio.NewWriter(stderr), shown: isTerminal(stderr)}, nil
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &unackedFile{file: file, out: bufio.NewWriter(file)}, nil
}

// maxShown bounds a line on standard error: a message may have 512 MiB. A file gets every line whole.
const maxShown = 64 << 10

func (l *unackedFile) add(line []byte) {
	if l.file == nil && len(line) > maxShown {
		l.cut = true
		line = fmt.Appendf(bytes.Clone(line[:maxShown]), "... (%d bytes)", len(line))
	}
	if l.count++; l.shown {
		l.buffer = protocol.EscapeMessage(l.buffer[:0], line)
		line = l.buffer
	}
	_, _ = l.out.Write(line)  // close returns the error
	_ = l.out.WriteByte('\n') // as above
}

// addRaw is add for pieces of input with newlines. Only addRaw may follow.
func (l *unackedFile) addRaw(piece []byte) {
	for line := range bytes.Lines(piece) {
		if !l.within {
			l.count++
		}
		l.within = !bytes.HasSuffix(line, []byte("\n"))
	}
	_, _ = l.out.Write(piece) // as above
}

// close closes the file, and removes an empty one. It returns why, the error so far, together with one of the file.
func (l *unackedFile) close(why error) error {
	err := l.out.Flush()
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
		if l.count == 0 {
			_ = os.Remove(l.file.Name()) // an empty file does no harm
		}
	}
	if err != nil && l.count > 0 {
		return &exitError{statusUnacked, fmt.Errorf("%w; and they cannot be written: %w", why, err)}
	}
	return why
}

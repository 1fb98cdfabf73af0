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

// unackedFile takes the messages that were not acknowledged, a line each: in a file, or else on standard error.
type unackedFile struct {
	file   *os.File // nil: standard error
	out    *bufio.Writer
	shown  bool // on a terminal, which they must not drive
	count  int
	within bool // a line that addRaw has begun
	buffer []byte
}

// openUnackedFile makes the file at once: later, when there is something to write, would be too late to hear that it
// cannot be made. What is there already may be the rest of another time, and is not touched.
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

func (l *unackedFile) add(line []byte) {
	if l.count++; l.shown {
		l.buffer = protocol.EscapeMessage(l.buffer[:0], line)
		line = l.buffer
	}
	_, _ = l.out.Write(line)  // close hears of an error
	_ = l.out.WriteByte('\n') // as above
}

// addRaw is add for pieces of lines, with their newlines. Nothing is added behind them in another way.
func (l *unackedFile) addRaw(piece []byte) {
	for line := range bytes.Lines(piece) {
		if !l.within {
			l.count++
		}
		l.within = !bytes.HasSuffix(line, []byte("\n"))
	}
	_, _ = l.out.Write(piece) // as above
}

// close ends the file, and removes it if there is nothing in it. It returns why, the error there was before, and with
// it what went wrong with the file.
func (l *unackedFile) close(why error) error {
	err := l.out.Flush()
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
		if l.count == 0 {
			_ = os.Remove(l.file.Name()) // an empty file harms nobody
		}
	}
	if err != nil && l.count > 0 {
		return &exitError{statusUnacked, fmt.Errorf("%w; and they cannot be written: %w", why, err)}
	}
	return why
}

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// lineReader yields the messages to publish: the lines of standard input, or the message of the command line.
type lineReader struct {
	lines   chan []byte // without newlines; closed after the last one
	err     error       // why lines ended before the input; set before lines is closed
	raw     chan []byte // the rest of the input in that case, in pieces; closed after lines
	broken  error       // why the rest could not be read to its end; set before raw is closed
	maxLine int         // most bytes of a line
	size    int64       // bytes of the input, if it is a file; 0: unknown
	quit    chan struct{}
}

// newLineReader starts to read. A read of standard input cannot be interrupted, so the goroutine is stopped, not awaited.
func newLineReader(o *pubOptions, stdin io.Reader) *lineReader {
	in := &lineReader{lines: make(chan []byte, 256), raw: make(chan []byte), maxLine: o.maxLine, quit: make(chan struct{})}
	if o.message != nil {
		in.lines <- []byte(*o.message)
		close(in.lines)
		close(in.raw)
		return in
	}
	if file, ok := stdin.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
	}
	go in.read(bufio.NewReaderSize(stdin, 64<<10))
	return in
}

// stop ends the goroutine once it is not in a read.
func (in *lineReader) stop() { close(in.quit) }

// copyTo writes the input from here on to rest, until the input or ctx ends. Its error is that of reading the input.
func (in *lineReader) copyTo(ctx context.Context, rest *unackedFile) error {
	for _, part := range []struct {
		from <-chan []byte
		add  func([]byte)
	}{{in.lines, rest.add}, {in.raw, rest.addRaw}} {
		for more := true; more; {
			if ctx.Err() != nil {
				return nil // input after a signal counts as not read
			}
			var bytes []byte
			select {
			case bytes, more = <-part.from:
				if more {
					part.add(bytes)
				}
			case <-ctx.Done():
			}
		}
	}
	return in.broken
}

func (in *lineReader) read(from *bufio.Reader) {
	defer close(in.raw)
	piece, err := in.readLines(from)
	for (len(piece) == 0 || in.offer(in.raw, piece)) && err == nil {
		piece = make([]byte, 64<<10)
		var n int
		n, err = from.Read(piece)
		piece, err = piece[:n], wrapReadError(err)
	}
	if !errors.Is(err, io.EOF) {
		in.broken = err
	}
}

// readLines reads lines up to the first that is too long for a message, of which it returns the part read so far. err is
// an error of reading.
func (in *lineReader) readLines(from *bufio.Reader) (part []byte, err error) {
	defer close(in.lines)
	for {
		line, err := readLine(from, in.maxLine)
		switch {
		case errors.Is(err, errLongLine):
			in.err = err
			return line, nil
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		case err != nil:
			in.err = wrapReadError(err)
			return line, in.err
		case !in.offer(in.lines, line):
			return nil, io.EOF // stopped
		}
	}
}

// offer sends bytes, unless the reader is stopped.
func (in *lineReader) offer(to chan<- []byte, bytes []byte) bool {
	select {
	case to <- bytes:
		return true
	case <-in.quit:
		return false
	}
}

// wrapReadError names the input in an error of reading. io.EOF stays as it is.
func wrapReadError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return fmt.Errorf("cannot read the standard input: %w", err)
}

// maxLineLength is the longest message of Redis' protocol.
const maxLineLength = 512 << 20

// errLongLine is wrapped by the error for a line that is too long.
var errLongLine = errors.New("a line is too long for a message")

// readLine reads up to a newline or the end of the input. The caller owns the line. With an error, line is the part that
// was read.
func readLine(from *bufio.Reader, limit int) (line []byte, err error) {
	for {
		part, err := from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil && len(line)-1 <= limit:
			return line[:len(line)-1], nil
		case len(line) > limit:
			return line, fmt.Errorf("%w: more than %d bytes", errLongLine, limit)
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}

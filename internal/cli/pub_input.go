package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// lineReader brings the messages to publish: the lines of standard input, or the one of the command line.
type lineReader struct {
	lines   chan []byte // without their newline; closed behind the last one
	err     error       // why they end before the input does; set before lines is closed
	raw     chan []byte // pieces of what is behind the lines then, byte for byte; closed behind the last one, after lines
	broken  error       // why the input cannot be read to its end; set before raw is closed
	maxLine int         // bytes that a line may have
	size    int64       // bytes of the input, if that is a file; 0: nobody knows
	quit    chan struct{}
}

// newLineReader begins to read. Nothing can end a read of standard input; so its goroutine is told to stop, and not waited
// for.
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

// stop has the goroutine end, as soon as it is in no read.
func (in *lineReader) stop() { close(in.quit) }

// copyTo brings what is not taken yet to rest, until the input or ctx ends. It returns why the input cannot be read to
// its end.
func (in *lineReader) copyTo(ctx context.Context, rest *unackedFile) error {
	for _, part := range []struct {
		from <-chan []byte
		add  func([]byte)
	}{{in.lines, rest.add}, {in.raw, rest.addRaw}} {
		for more := true; more; {
			if ctx.Err() != nil {
				return nil // what comes after a signal counts as not read
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

// readLines reads lines as long as they can be messages. It returns what it has of one that cannot, and the error that
// keeps it from reading on, if there is one.
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
			return nil, io.EOF // nobody wants more
		}
	}
}

// offer tells whether anybody wanted it.
func (in *lineReader) offer(to chan<- []byte, bytes []byte) bool {
	select {
	case to <- bytes:
		return true
	case <-in.quit:
		return false
	}
}

// wrapReadError says of an error what it is an error of; the end of the input is none.
func wrapReadError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return fmt.Errorf("cannot read the standard input: %w", err)
}

// maxLineLength is the longest message that Redis' protocol has.
const maxLineLength = 512 << 20

// errLongLine is wrapped by what is said of a line that cannot be a message.
var errLongLine = errors.New("a line is too long for a message")

// readLine reads up to a newline, or to the end of the input, where there need not be one. The line is the caller's.
// With an error comes what has been read of it.
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

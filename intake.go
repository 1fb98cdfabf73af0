package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// intake brings the messages to publish: the lines of standard input, or the one of the command line.
type intake struct {
	lines chan []byte // without their newline; closed behind the last one
	err   error       // why they end before the input does; set before lines is closed
	size  int64       // bytes of the input, if that is a file; 0: nobody knows
	quit  chan struct{}
}

// newIntake begins to read. Nothing can end a read of standard input; so its goroutine is told to stop, and not waited
// for.
func newIntake(message *string, stdin io.Reader) *intake {
	in := &intake{lines: make(chan []byte, 256), quit: make(chan struct{})}
	if message != nil {
		in.lines <- []byte(*message)
		close(in.lines)
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
func (in *intake) stop() { close(in.quit) }

// copyTo brings what is not taken yet to rest, until the input or ctx ends. It returns why the input ended before its end.
func (in *intake) copyTo(ctx context.Context, rest *leftover) error {
	for ctx.Err() == nil { // what comes after a signal counts as not read
		select {
		case line, ok := <-in.lines:
			if !ok {
				return in.err
			}
			rest.add(line)
		case <-ctx.Done():
		}
	}
	return nil
}

func (in *intake) read(from *bufio.Reader) {
	defer close(in.lines)
	for {
		line, err := readLine(from)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				in.err = fmt.Errorf("cannot read the standard input: %w", err)
			}
			return
		}
		select {
		case in.lines <- line:
		case <-in.quit:
			return
		}
	}
}

// longestLine is the longest message that Redis' protocol has.
const longestLine = 512 << 20

// readLine reads up to a newline, or to the end of the input, where there need not be one. The line is the caller's.
func readLine(from *bufio.Reader) (line []byte, err error) {
	for {
		part, err := from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case len(line) > longestLine:
			return nil, fmt.Errorf("a line is longer than %d bytes", longestLine)
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err //nolint:wrapcheck // read does
		}
	}
}

package exec

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/conchmq/conch/internal/connect"
)

// sink runs a program and writes lines to its standard input. A message counts as sent once it is in the pipe: a program that ends before it
// has read it loses it.
type sink struct {
	*program
	format connect.LineFormat

	input  *os.File
	cancel context.CancelFunc
	exited chan struct{} // closed when the program has ended
	ended  chan struct{} // closed when its outputs are read, too
	err    error         // how it has ended; set before exited is closed
	buffer []byte
}

func newSink(a connect.Address) (connect.Sink, error) {
	p, err := newProgram(&a)
	if err != nil {
		return nil, err
	}
	s := &sink{program: p}
	s.format, err = a.TakeLineFormat()
	return s, err //nolint:wrapcheck // of this project
}

// Connect starts the program. The lines of its outputs are logged.
func (s *sink) Connect(context.Context) error {
	running, cancel := context.WithCancel(context.Background())
	input, ours, err := os.Pipe()
	if err != nil {
		cancel()
		return err //nolint:wrapcheck // of the system
	}
	out, theirs, err := os.Pipe()
	if err != nil {
		cancel()
		_, _ = input.Close(), ours.Close() // nothing was written
		return err                         //nolint:wrapcheck // of the system
	}
	c := s.command(running)
	c.Stdin, c.Stdout, c.Stderr = input, theirs, theirs
	err = start(c)
	_, _ = input.Close(), theirs.Close() // the program has its own
	if err != nil {
		cancel()
		_, _ = ours.Close(), out.Close() // nothing was written
		return err
	}
	s.input, s.cancel, s.exited, s.ended = ours, cancel, make(chan struct{}), make(chan struct{})
	var reads sync.WaitGroup
	reads.Go(func() { s.readWarnings(connect.NewLines(output{out}, maxWarning)) })
	go func(exited, ended chan struct{}) {
		defer close(ended)
		s.err = wait(c)
		close(exited)
		expire(out)
		reads.Wait()
		_ = out.Close() // it was read
	}(s.exited, s.ended)
	return nil
}

// Write writes a batch. It returns when all is in the pipe.
func (s *sink) Write(ctx context.Context, batch []connect.Message) error {
	text, refused := s.format.AppendAll(s.buffer[:0], batch)
	if s.buffer = text; cap(text) > 1<<20 {
		s.buffer = nil
	}
	defer context.AfterFunc(ctx, func() { _ = s.input.SetWriteDeadline(time.Unix(1, 0)) })() // ends the write
	if _, err := s.input.Write(text); err != nil {
		select {
		case <-s.exited:
			return s.err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-graceOver():
			return fmt.Errorf("the program does not read: %w", err)
		}
	}
	return refused.Err() //nolint:wrapcheck // of this project
}

// Close ends the input, and after a while the program.
func (s *sink) Close(ctx context.Context) error {
	if s.input == nil {
		return nil
	}
	_ = s.input.Close() // all is written
	select {
	case <-s.ended:
	case <-graceOver():
	case <-ctx.Done():
	}
	s.cancel()
	<-s.ended
	s.input = nil
	return nil
}

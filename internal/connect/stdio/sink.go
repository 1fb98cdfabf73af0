package stdio

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/conchmq/conch/internal/connect"
)

// sink writes lines to standard output.
type sink struct {
	format connect.LineFormat
	file   *os.File // standard output, and its path; tests have another one
	path   string

	output *os.File
	own    bool
	buffer []byte
}

func newSink(a connect.Address) (connect.Sink, error) {
	if a.URL.Scheme != "stdout" {
		return nil, errors.New("a sink writes to stdout: and not to stdin")
	}
	format, err := a.TakeLineFormat()
	return &sink{format: format, file: os.Stdout, path: "/dev/stdout"}, err //nolint:wrapcheck // of this project
}

// Connect takes standard output.
func (s *sink) Connect(context.Context) (err error) {
	if !inUse.output.CompareAndSwap(false, true) {
		return &connect.Permanent{Err: errInUse}
	}
	if s.output, s.own, err = open(s.file, s.path, os.O_WRONLY); err != nil {
		inUse.output.Store(false)
	}
	return err
}

// Write writes a batch. Its reader may be slow: ctx ends a write to a pipe.
func (s *sink) Write(ctx context.Context, batch []connect.Message) error {
	text, refused := s.format.AppendAll(s.buffer[:0], batch)
	if s.buffer = text; cap(text) > 1<<20 {
		s.buffer = nil
	}
	output := s.output
	defer context.AfterFunc(ctx, func() { _ = output.SetWriteDeadline(time.Unix(1, 0)) })() // no more than a pipe has deadlines
	if _, err := output.Write(text); err != nil {
		return err //nolint:wrapcheck // names the file
	}
	return refused.Err() //nolint:wrapcheck // of this project
}

// Close gives standard output up. It stays open.
func (s *sink) Close(context.Context) error {
	if s.output == nil {
		return nil
	}
	if s.own {
		_ = s.output.Close() // all is written
	}
	s.output = nil
	inUse.output.Store(false)
	return nil
}

package file

import (
	"context"
	"os"

	"github.com/conchmq/conch/internal/connect"
)

// sink appends lines to a file. If another program renames the file, the next batch goes to a new one of its name.
type sink struct {
	path   string
	format connect.LineFormat
	sync   bool // each batch is on the disk before it counts as sent

	file   *os.File
	buffer []byte
}

func newSink(a connect.Address) (connect.Sink, error) {
	s := &sink{}
	var err error
	if s.path, err = pathOf(&a); err != nil {
		return nil, err
	}
	if s.sync, err = a.TakeBool("fsync"); err != nil {
		return nil, err //nolint:wrapcheck // of this project
	}
	s.format, err = a.TakeLineFormat()
	return s, err //nolint:wrapcheck // of this project
}

// Connect opens the file.
func (s *sink) Connect(context.Context) error { return s.open() }

// open opens the file. A line that a crash has cut gets its end, so that the next one is whole.
func (s *sink) open() error {
	f, info, err := openRegular(s.path, os.O_APPEND|os.O_CREATE|os.O_RDWR)
	if err != nil {
		return err
	}
	if info.Size() > 0 {
		last := make([]byte, 1)
		if _, err = f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			_, err = f.WriteString("\n")
		}
	}
	if err != nil {
		_ = f.Close() // its error is known
		return err    //nolint:wrapcheck // names the path
	}
	s.file = f
	return nil
}

// Write appends a batch.
func (s *sink) Write(_ context.Context, batch []connect.Message) error {
	if err := s.follow(); err != nil {
		return err
	}
	text, refused := s.format.AppendAll(s.buffer[:0], batch)
	if s.buffer = text; cap(text) > 1<<20 {
		s.buffer = nil
	}
	if _, err := s.file.Write(text); err != nil {
		return err //nolint:wrapcheck // names the path
	}
	if s.sync {
		if err := s.file.Sync(); err != nil {
			return err //nolint:wrapcheck // names the path
		}
	}
	return refused.Err() //nolint:wrapcheck // of this project
}

// follow opens the file again if the path has another one, or none.
func (s *sink) follow() error {
	held, err := s.file.Stat()
	if err != nil {
		return err //nolint:wrapcheck // names the path
	}
	if named, err := os.Stat(s.path); err == nil && os.SameFile(held, named) {
		return nil
	}
	_ = s.file.Close() // what was written is there
	s.file = nil
	return s.open()
}

// Close closes the file.
func (s *sink) Close(context.Context) error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err //nolint:wrapcheck // names the path
}

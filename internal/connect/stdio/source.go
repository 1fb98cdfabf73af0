package stdio

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/conchmq/conch/internal/connect"
)

const queueBytes = 1 << 20

// source reads the lines of standard input, to its end.
type source struct {
	limit int
	file  *os.File // standard input, and its path; tests have another one
	path  string

	input  *os.File
	own    bool // input is a pipe that was opened anew: a read of it can be ended
	lines  *connect.Lines
	queue  *connect.Queue // nil before the first connection, and between two to a pipe
	cancel func()
	tasks  sync.WaitGroup    // the goroutine that reads; Close waits for it if own
	left   []connect.Message // read ahead by the connection before; nothing brings them again
}

func newSource(a connect.Address) (connect.Source, error) {
	if a.URL.Scheme != "stdin" {
		return nil, errors.New("a source reads from stdin: and not from stdout")
	}
	return &source{limit: a.Limit, file: os.Stdin, path: "/dev/stdin"}, nil
}

// Connect begins to read. The lines that were read ahead and not taken stay for the next connection.
func (s *source) Connect(context.Context, connect.Start) error {
	if s.queue != nil { // of a terminal or a file
		return nil
	}
	if !inUse.input.CompareAndSwap(false, true) {
		return &connect.Permanent{Err: errInUse}
	}
	var err error
	if s.input, s.own, err = open(s.file, s.path, os.O_RDONLY); err != nil {
		inUse.input.Store(false)
		return err
	}
	if s.lines == nil {
		s.lines = connect.NewLines(nil, s.limit)
	}
	s.lines.Reset(s.input)
	running, cancel := context.WithCancel(context.Background())
	s.queue, s.cancel = connect.NewQueue(queueBytes), cancel
	s.tasks.Go(func() { s.queue.End(s.readLines(running)) })
	return nil
}

// readLines queues lines until the end of the input, or until Close.
func (s *source) readLines(ctx context.Context) error {
	for {
		line, _, err := s.lines.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return err // Close; what has come of a line stays
		}
		if err != nil {
			if line, _ = s.lines.Rest(); len(line) == 0 { // the last line may lack its end
				return connect.ErrEnd
			}
		}
		m := connect.Message{Payload: line}
		if ctxErr := s.queue.Put(ctx, m); ctxErr != nil {
			s.left = append(s.left, m) // Close puts those of the queue before it
			return ctxErr              //nolint:wrapcheck // Close
		}
		if err != nil {
			return connect.ErrEnd
		}
	}
}

// Read takes what was read ahead.
func (s *source) Read(ctx context.Context) (connect.Batch, error) {
	if len(s.left) > 0 && s.own {
		taken := s.left
		s.left = nil
		return connect.Batch{Messages: taken}, nil
	}
	taken, err := s.queue.Take(ctx)
	return connect.Batch{Messages: taken}, err //nolint:wrapcheck // ErrEnd, or of ctx
}

// Close ends the reads of a pipe. A terminal or a file stays with its reader until the process ends, because nothing ends such a read.
func (s *source) Close(context.Context) error {
	if s.queue == nil || !s.own {
		return nil
	}
	_ = s.input.SetReadDeadline(time.Unix(1, 0)) // a pipe has deadlines
	s.cancel()
	s.tasks.Wait()
	_ = s.input.Close() // what is in the pipe stays there
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	var queued []connect.Message
	for {
		taken, err := s.queue.Take(ended)
		if err != nil {
			break
		}
		queued = append(queued, taken...)
	}
	s.left, s.queue = append(queued, s.left...), nil
	inUse.input.Store(false)
	return nil
}

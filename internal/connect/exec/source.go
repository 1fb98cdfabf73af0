package exec

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/conchmq/conch/internal/connect"
)

const queueBytes = 1 << 20

// source runs a program and reads the lines of its standard output.
type source struct {
	*program
	limit int
	once  bool // the program is not started again after it has ended well

	queue  *connect.Queue
	cancel context.CancelFunc
	tasks  sync.WaitGroup // goroutines that read its outputs; Close waits for them
}

func newSource(a connect.Address) (connect.Source, error) {
	p, err := newProgram(&a)
	if err != nil {
		return nil, err
	}
	s := &source{program: p, limit: a.Limit}
	s.once, err = a.TakeBool("once")
	return s, err //nolint:wrapcheck // of this project
}

// Connect starts the program.
func (s *source) Connect(context.Context, connect.Start) error {
	out, theirs, err := os.Pipe()
	if err != nil {
		return err //nolint:wrapcheck // of the system
	}
	warnings, theirWarnings, err := os.Pipe()
	if err != nil {
		_, _ = out.Close(), theirs.Close() // nothing was written
		return err                         //nolint:wrapcheck // of the system
	}
	running, cancel := context.WithCancel(context.Background())
	c := s.command(running)
	c.Stdout, c.Stderr = theirs, theirWarnings
	err = start(c)
	_, _ = theirs.Close(), theirWarnings.Close() // the program has its own
	if err != nil {
		cancel()
		_, _ = out.Close(), warnings.Close() // nothing was written
		return err
	}
	s.queue, s.cancel = connect.NewQueue(queueBytes), cancel
	var reads sync.WaitGroup
	reads.Go(func() { s.readWarnings(connect.NewLines(output{warnings}, maxWarning)) })
	reads.Go(func() { s.readLines(running, connect.NewLines(output{out}, s.limit)) })
	s.tasks.Go(func() {
		err := wait(c)
		if s.once && errors.Is(err, errEnded) {
			err = connect.ErrEnd
		}
		expire(out, warnings)
		reads.Wait()
		_, _ = out.Close(), warnings.Close() // they were read
		s.queue.End(err)
	})
	return nil
}

// readLines queues lines until the program closes its output.
func (s *source) readLines(ctx context.Context, lines *connect.Lines) {
	for {
		line, _, err := lines.Next()
		if err != nil {
			if line, _ = lines.Rest(); len(line) == 0 { // the last line may lack its end
				return
			}
		}
		if s.queue.Put(ctx, connect.Message{Payload: line}) != nil || err != nil {
			return
		}
	}
}

// Read takes what was read ahead.
func (s *source) Read(ctx context.Context) (connect.Batch, error) {
	taken, err := s.queue.Take(ctx)
	return connect.Batch{Messages: taken}, err //nolint:wrapcheck // of the program, or of ctx
}

// Close ends the program.
func (s *source) Close(context.Context) error {
	if s.cancel != nil {
		s.cancel()
	}
	s.tasks.Wait()
	return nil
}

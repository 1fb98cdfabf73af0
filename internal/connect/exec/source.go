package exec

import (
	"context"
	"errors"
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
func (s *source) Connect(_ context.Context, _ connect.Start) error {
	running, cancel := context.WithCancel(context.Background())
	s.queue, s.cancel = connect.NewQueue(queueBytes), cancel
	c := s.command(running)
	out, err := c.StdoutPipe()
	if err != nil {
		return err //nolint:wrapcheck // of the system
	}
	warnings, err := c.StderrPipe()
	if err != nil {
		return err //nolint:wrapcheck // of the system
	}
	if err := start(c); err != nil {
		return err
	}
	var reads sync.WaitGroup // Wait closes the pipes: it comes behind both
	reads.Go(func() { s.readWarnings(connect.NewLines(warnings, maxWarning)) })
	reads.Go(func() { s.readLines(running, connect.NewLines(out, s.limit)) })
	s.tasks.Go(func() {
		ended := make(chan struct{})
		defer close(ended)
		s.tasks.Go(func() { // a process that has left the group can hold a pipe open
			select {
			case <-running.Done(): // the program gets SIGTERM
				select {
				case <-ended:
				case <-graceOver():
					_ = out.Close() // ends the reads
					_ = warnings.Close()
				}
			case <-ended:
			}
		})
		reads.Wait()
		err := wait(c)
		if s.once && errors.Is(err, errEnded) {
			err = connect.ErrEnd
		}
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

package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/conchmq/conch/internal/connect"
)

const (
	queueBytes = 1 << 20
	look       = time.Second // between two looks at a file system that reports nothing
	partition  = "file"      // the one that there is
)

// source reads the lines of a file.
type source struct {
	path            string
	limit           int
	follow, atStart bool
	last            string // the position that Read has come to, for the next connection

	queue  *connect.Queue
	cancel context.CancelFunc
	tasks  sync.WaitGroup // the goroutine that reads; Close waits for it
}

func newSource(a connect.Address) (connect.Source, error) {
	s := &source{limit: a.Limit, follow: true}
	var err error
	if s.path, err = pathOf(&a); err != nil {
		return nil, err
	}
	switch from := a.Take("from"); from {
	case "", "now", "start":
		s.atStart = from == "start"
	default:
		return nil, fmt.Errorf("from is start or now: %.60q", from)
	}
	switch a.Take("follow") {
	case "", "true", "yes":
	case "false", "no":
		s.follow, s.atStart = false, true
	default:
		return nil, errors.New("follow is true, or false for a file that is read once")
	}
	return s, nil
}

// Connect begins to read behind the position that is known, else at the beginning if the topic is durable.
func (s *source) Connect(_ context.Context, start connect.Start) error {
	at := s.last
	if start.Durable { // what was read and did not take effect comes again
		at = start.Positions[partition]
	}
	t := &tail{path: s.path, limit: s.limit}
	var err error
	switch {
	case at != "":
		var from position
		if from, err = parsePosition(at); err != nil {
			return &connect.Permanent{Err: err}
		}
		err = t.begin(from)
	case s.atStart || start.Durable:
		err = t.open(s.path, 0)
	default:
		err = t.beginAtEnd()
	}
	if err != nil {
		return err
	}
	if !s.follow && t.file == nil {
		return fmt.Errorf("%s: there is no such file", s.path)
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		err = watcher.Add(filepath.Dir(s.path)) // a rename shows there
	}
	if err != nil {
		t.close()
		return fmt.Errorf("the folder of %s cannot be watched: %w", s.path, err)
	}
	running, cancel := context.WithCancel(context.Background())
	s.queue, s.cancel = connect.NewQueue(queueBytes), cancel
	queue := s.queue
	s.tasks.Go(func() {
		defer t.close()
		defer func() { _ = watcher.Close() }() // it ends with its reader
		queue.End(s.read(running, t, watcher))
	})
	return nil
}

// read queues lines, and waits for those to come.
func (s *source) read(ctx context.Context, t *tail, watcher *fsnotify.Watcher) error {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		line, err := t.next()
		switch {
		case err == nil:
			err = s.queue.Put(ctx, s.messageOf(line, t))
			if err != nil {
				return err //nolint:wrapcheck // the end of the connection
			}
			continue
		case !errors.Is(err, io.EOF):
			return err
		case !s.follow:
			return s.readRest(ctx, t)
		}
		select {
		case <-watcher.Events:
		case <-watcher.Errors: //nolint:errcheck // a look at the file tells what there is
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err() //nolint:wrapcheck // the end of the connection
		}
	}
}

// readRest queues the last line of a file that is read once, which may lack its end.
func (s *source) readRest(ctx context.Context, t *tail) error {
	line, size := t.lines.Rest()
	if size > 0 {
		t.offset += size
		if err := s.queue.Put(ctx, s.messageOf(line, t)); err != nil {
			return err //nolint:wrapcheck // the end of the connection
		}
	}
	return connect.ErrEnd
}

func (s *source) messageOf(line []byte, t *tail) connect.Message {
	at := t.position()
	return connect.Message{Payload: line, Meta: map[string]string{"path": s.path}, ID: at, Partition: partition, Position: at}
}

// Read takes what was read ahead.
func (s *source) Read(ctx context.Context) (connect.Batch, error) {
	taken, err := s.queue.Take(ctx)
	if err != nil {
		return connect.Batch{}, err //nolint:wrapcheck // of the file, or of ctx
	}
	s.last = taken[len(taken)-1].Position
	return connect.Batch{Messages: taken}, nil
}

// Close ends the reading.
func (s *source) Close(context.Context) error {
	if s.cancel != nil {
		s.cancel()
	}
	s.tasks.Wait()
	return nil
}

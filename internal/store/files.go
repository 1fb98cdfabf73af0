package store

import (
	"context"
	"errors"
	"io"

	"github.com/conchmq/conch/internal/backup"
)

// EachFile passes all files of the streams to f, as of one instant, while the broker runs. They are held by links in a folder that is new and
// on the same file system; of those that cannot be linked, an open file is held. Nothing is copied, and compact-rate is no bound.
func (s *Store) EachFile(path string, f func(name string, size int64, from io.Reader) error) (err error) {
	folder, err := backup.Begin(path, backup.Options{Dir: s.options.Dir, Store: s.log.ID()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.tasks.Go(func() {
		select {
		case <-s.stopping:
			cancel()
		case <-ctx.Done():
		}
	})
	var taking error
	if err := s.checkpoints.between(ctx, func() { _, taking = s.take(ctx, folder) }); err != nil {
		return err
	}
	if taking != nil {
		return taking
	}
	return folder.Each(f)
}

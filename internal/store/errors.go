package store

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"syscall"

	"github.com/conchmq/conch/internal/log"
)

// UnwritableError is a directory that conch may not write.
type UnwritableError struct{ dir, reason string }

func (e *UnwritableError) Error() string {
	return "the directory " + e.dir + " cannot be used: " + e.reason
}

// openError makes one line of an error of opening, with what to do.
func (s *Store) openError(err error) error {
	dir := s.options.Dir
	var key *log.KeyError
	switch {
	case dir == "":
		return fmt.Errorf("the streams in memory cannot be opened: %w", err)
	case errors.As(err, new(*keyFileError)):
		return err
	case errors.As(err, &key):
		return fmt.Errorf("the directory %s cannot be opened: %w", dir, key) // what comes around it names the file once more
	case errors.Is(err, log.ErrInUse):
		return fmt.Errorf("the directory %s is in use by another conch; give each one a --dir of its own", dir)
	case errors.Is(err, log.ErrNoDirectories):
		return fmt.Errorf("the directory %s cannot be used: conch keeps no files on %s; leave --dir out, and streams are in memory", dir, runtime.GOOS)
	case errors.Is(err, log.ErrNoLog):
		return fmt.Errorf("there is no store in %s", dir)
	case errors.Is(err, fs.ErrPermission):
		return &UnwritableError{dir, "permission denied; the user of conch must be its owner"}
	case errors.Is(err, syscall.EROFS):
		return &UnwritableError{dir, "its file system is read-only"}
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist): // a file, or a link that leads to no directory
		return fmt.Errorf("the directory %s cannot be used: it is, or is in, something else", dir)
	case isFull(err):
		return fmt.Errorf("the directory %s cannot be used: no space is left on the disk", dir)
	}
	return fmt.Errorf("the directory %s cannot be opened: %w", dir, err)
}

// isFull reports whether an error means that there is no space.
func isFull(err error) bool {
	return errors.Is(err, log.ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Files is the directory of a log: [OpenDirectory] or [NewMemory]. What is written is durable once it is synced, and
// what is created, renamed or removed once the directory is.
type Files interface {
	// List returns the names of all files, sorted.
	List() ([]string, error)
	// Create makes an empty file, and allocates size bytes for it, which are zeros.
	Create(name string, size int64) (File, error)
	// Open opens a file to read and write. The error is fs.ErrNotExist if there is none.
	Open(name string) (File, error)
	// Rename renames a file, which replaces the one of the new name.
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the names durable.
	SyncDir() error
	// Close gives the directory up.
	Close() error
}

// File is one file of a directory. Any goroutine may call its methods.
type File interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Truncate(size int64) error
	// Allocate makes the file at least that long, by zeros that need no more space when they are overwritten.
	Allocate(size int64) error
	Sync() error
	Close() error
}

var (
	// ErrInUse is the error of a directory that another process has open.
	ErrInUse = errors.New("log: directory in use")
	// ErrNoDirectories is the error of a directory on a system where conch keeps none.
	ErrNoDirectories = errors.New("log: directories are not supported on this system")
	// ErrFull is the error of appends while there is no space on the disk.
	ErrFull = errors.New("log: no space left on the disk")
	// ErrClosed is the error of a log that is closed.
	ErrClosed = errors.New("log: closed")
)

// isFull reports whether an error means that there is no space: then a write can be tried again.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, ErrFull)
}

// temporary is the ending of names that mean nothing after a crash.
const temporary = ".tmp"

// Replace writes a file that has its old content or the new one after a crash, and nothing else.
func Replace(files Files, name string, write func(io.Writer) error) error {
	f, err := files.Create(name+temporary, 0)
	if err != nil {
		return err
	}
	w := &writerAt{file: f}
	if err = write(w); err == nil {
		err = f.Sync() // else the new name could lead to an empty file
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = files.Rename(name+temporary, name)
	}
	if err != nil {
		_ = files.Remove(name + temporary) // what is left of it is removed by Open
		return fmt.Errorf("write %s: %w", name, err)
	}
	return files.SyncDir()
}

// writerAt writes a file from its beginning.
type writerAt struct {
	file File
	at   int64
}

func (w *writerAt) Write(p []byte) (int, error) {
	n, err := writeAll(w.file, p, w.at)
	w.at += int64(n)
	return n, err
}

// writeAll writes p, also by several calls: a file may take a part of it without an error.
func writeAll(f File, p []byte, at int64) (written int, err error) {
	for written < len(p) {
		n, err := f.WriteAt(p[written:], at+int64(written))
		written += n
		if err != nil {
			return written, err
		}
		if n == 0 {
			return written, io.ErrShortWrite
		}
	}
	return written, nil
}

// ReadFile returns the content of a file.
func ReadFile(files Files, name string) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was read only
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}

// removeTemporary removes what a crash left of Replace, and of segments that were being written again.
func removeTemporary(files Files, names []string) error {
	for _, name := range names {
		if strings.HasSuffix(name, temporary) {
			if err := files.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// errRemoved is the error of a sync of a file that has no name any more.
func errRemoved(name string) error {
	return fmt.Errorf("sync %s: the file was removed: %w", name, os.ErrNotExist)
}

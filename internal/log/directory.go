package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// directory is Files of the operating system. It stays the same one wherever its name leads later: a name that is moved, or becomes a link to
// somewhere else, must not part the log in two.
type directory struct {
	path string
	root *os.Root
	dir  *os.File // to sync it
	lock io.Closer
}

// The names of files that are no part of a log.
const (
	lockName = "lock"
	// RestoringName is there while a backup is restored into the directory.
	RestoringName = "restoring"
)

// ErrRestoring is the error of a directory into which a backup was not restored whole.
var ErrRestoring = errors.New("log: a restore was interrupted")

// checkRestored refuses a directory with a part of a backup.
func checkRestored(path string) error {
	if _, err := os.Lstat(filepath.Join(path, RestoringName)); err == nil {
		return fmt.Errorf("%w: %s has a part of a backup; restore it there again", ErrRestoring, path)
	}
	return nil
}

// LockDirectory makes a directory, unless there is one, and locks it against other processes until lock is closed.
func LockDirectory(path string) (lock io.Closer, err error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s; stop the other conch, or give this one a directory of its own", ErrInUse, path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := syncParents(path); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// OpenDirectory opens a directory, which it makes if there is none, and locks it against other processes.
func OpenDirectory(path string) (_ Files, err error) {
	d := &directory{path: path}
	if d.lock, err = LockDirectory(path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = d.Close() // the first error is the one that helps
		}
	}()
	if err = checkRestored(path); err != nil {
		return nil, err
	}
	if d.root, err = os.OpenRoot(path); err != nil {
		return nil, err
	}
	if d.dir, err = d.root.Open("."); err != nil {
		return nil, d.named(err)
	}
	return d, nil
}

// named puts the name of the directory in front of that of a file in an error.
func (d *directory) named(err error) error {
	if e := (*os.PathError)(nil); errors.As(err, &e) && !filepath.IsAbs(e.Path) {
		return &os.PathError{Op: e.Op, Path: filepath.Join(d.path, e.Path), Err: e.Err}
	}
	return err
}

// syncParents makes the name of a directory durable, which may be new.
func syncParents(path string) error {
	parent, err := os.Open(filepath.Dir(filepath.Clean(path)))
	if errors.Is(err, fs.ErrPermission) {
		return nil // then it was there before
	}
	if err != nil {
		return err
	}
	defer func() { _ = parent.Close() }()
	return parent.Sync()
}

func (d *directory) List() ([]string, error) {
	all, err := d.root.Open(".")
	if err != nil {
		return nil, d.named(err)
	}
	defer func() { _ = all.Close() }() // it was read only
	names, err := all.Readdirnames(-1)
	slices.Sort(names)
	return names, d.named(err)
}

func (d *directory) Create(name string, size int64) (File, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, d.named(err)
	}
	file := &osFile{f}
	if err := file.Allocate(size); err != nil {
		_ = f.Close()
		_ = d.root.Remove(name) // its space, if any, is needed
		return nil, err
	}
	return file, nil
}

func (d *directory) Open(name string) (File, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, d.named(err)
	}
	return &osFile{f}, nil
}

func (d *directory) Rename(from, to string) error { return d.root.Rename(from, to) }

func (d *directory) Remove(name string) error { return d.named(d.root.Remove(name)) }

func (d *directory) SyncDir() error { return d.dir.Sync() }

func (d *directory) Close() error {
	errs := []error{d.lock.Close()}
	if d.root != nil {
		errs = append(errs, d.root.Close())
	}
	if d.dir != nil {
		errs = append(errs, d.dir.Close())
	}
	return errors.Join(errs...)
}

// osFile is a File of the operating system.
type osFile struct{ *os.File }

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Allocate(size int64) error {
	if size == 0 {
		return nil
	}
	if err := allocate(f.File, size); err != nil {
		return &os.PathError{Op: "allocate", Path: f.Name(), Err: err}
	}
	return nil
}

// Sync makes what is written durable. A file that has no name would be gone at the next start: that is an error.
func (f *osFile) Sync() error {
	if err := syncData(f.File); err != nil {
		return &os.PathError{Op: "sync", Path: f.Name(), Err: err}
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if isUnlinked(info) {
		return errRemoved(f.Name())
	}
	return nil
}

// extend makes a file at least that long, without space for it.
func extend(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() >= size {
		return err
	}
	return f.Truncate(size)
}

// Link gives a file of the same file system a name here, too.
func (d *directory) Link(from, name string) error { return os.Link(from, filepath.Join(d.path, name)) }

package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// taken is a file of the store that belongs to the backup. It is there whatever the store does to its name.
type taken struct {
	name   string
	known  *File    // it is in the folder already
	linked string   // its name in the folder
	from   *os.File // it is to be copied
}

// ErrGone is the error of a file that has lost its name: what is taken does not fit together.
var ErrGone = errors.New("backup: a file is gone")

// Take adds a file of the store. It is linked if the file system can, and if it never changes in place from then on, or from the end of
// Take of others on, as one that is about to be sealed. Take costs no reading.
func (b *Backup) Take(name string, unchanging bool) error {
	source := filepath.Join(b.o.Dir, name)
	info, err := os.Lstat(source)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrGone
	}
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	t := &taken{name: name}
	for i, f := range b.known[name] {
		if f.Size == info.Size() && f.Modified == info.ModTime().UnixNano() {
			t.known = &b.known[name][i]
			b.taken[name] = t
			return nil
		}
	}
	if unchanging && b.canLink {
		isLinked, err := b.link(t, source)
		if isLinked || err != nil {
			return err
		}
	}
	t.from, err = os.Open(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrGone
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("the store has more files than one process may open: raise the limit of conch (ulimit -n), or choose a folder on its file system: %w", err)
	case err != nil:
		return fmt.Errorf("read the store: %w", err)
	}
	b.taken[name] = t
	return nil
}

// stored is the name in the folder of a file that is new.
func (b *Backup) stored(name string) string { return fmt.Sprintf("%s.%d", name, b.number) }

// link links a file into the folder, if that can be.
func (b *Backup) link(t *taken, source string) (isLinked bool, err error) {
	to := b.stored(t.name)
	err = b.files.(linker).Link(source, to)
	if errors.Is(err, fs.ErrExist) { // what an interrupted backup has left, and has not noted
		if err = b.files.Remove(to); err == nil {
			err = b.files.(linker).Link(source, to)
		}
	}
	switch {
	case err == nil:
		t.linked = to
		b.taken[t.name] = t
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, ErrGone
	case errors.Is(err, syscall.EXDEV), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EMLINK), errors.Is(err, syscall.ENOTSUP),
		errors.Is(err, syscall.ENOSYS):
		return false, nil // it is copied
	}
	return false, explain(b.path, err)
}

// Has reports whether a file is taken.
func (b *Backup) Has(name string) bool { return b.taken[name] != nil }

// Without gives a file up that was taken.
func (b *Backup) Without(name string) {
	if t := b.taken[name]; t != nil {
		b.release(t)
		delete(b.taken, name)
	}
}

// Drop gives all up that was taken, to begin anew.
func (b *Backup) Drop() {
	for _, t := range b.taken {
		b.release(t)
	}
	clear(b.taken)
}

func (b *Backup) release(t *taken) {
	if t.from != nil {
		_ = t.from.Close() // it was read only
	}
	if t.linked != "" {
		_ = b.files.Remove(t.linked) // tidy removes what is left
	}
}

// Each passes what is taken to f, by its names in the store.
func (b *Backup) Each(f func(name string, size int64, from io.Reader) error) error {
	for _, name := range slices.Sorted(maps.Keys(b.taken)) {
		if err := b.open(b.taken[name], f); err != nil {
			return err
		}
	}
	return nil
}

func (b *Backup) open(t *taken, f func(name string, size int64, from io.Reader) error) error {
	from := t.from
	if t.linked != "" {
		var err error
		if from, err = os.Open(filepath.Join(b.path, t.linked)); err != nil {
			return explain(b.path, err)
		}
		defer func() { _ = from.Close() }() // it was read only
	}
	info, err := from.Stat()
	if err != nil {
		return &sourceError{err}
	}
	return f(t.name, info.Size(), from)
}

// Names returns the names of the files of the store, as they are now.
func (b *Backup) Names() ([]string, error) {
	entries, err := os.ReadDir(b.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

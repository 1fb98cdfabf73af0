package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// ErrNoLog is the error of a directory that has no log.
var ErrNoLog = errors.New("log: no log is there")

// errReplaced means that a file lost its name between the reading of the names and its opening.
var errReplaced = errors.New("log: the directory changes all the time")

// maxLooks is how often the names of a directory are read again, because a broker changes them meanwhile.
const maxLooks = 100

// overlay is Files over a directory that is only read. What is written, shortened, renamed or removed stays in memory, so that a log can be
// opened there as it is found, and leaves no trace.
//
// All files are open from the beginning: a broker that runs there may remove and replace them.
type overlay struct {
	mu    sync.Mutex // guards the names
	files map[string]*overlayFile
	bases []*os.File
}

// OpenOverlay opens a directory to read what is there at one instant, without the lock. Writing through it changes memory alone.
func OpenOverlay(path string) (Files, error) {
	for range maxLooks {
		o := &overlay{files: make(map[string]*overlayFile)}
		err := o.open(path)
		if err == nil {
			return o, nil
		}
		_ = o.Close() // the first error is the one that helps
		if !errors.Is(err, errReplaced) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: %s", errReplaced, path)
}

// open opens all files. Entries that are missing in a file were deleted by a record that was synced before, so the names are read once
// more: the segment with that record, and the checkpoint that allowed to drop others, are there by then.
func (o *overlay) open(path string) error {
	for range 2 {
		names, err := logNames(path)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(names, isLogName) {
			return fmt.Errorf("%w: %s", ErrNoLog, path)
		}
		for _, name := range names {
			if o.files[name] == nil {
				if err := o.openFile(path, name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// logNames returns the names of the files that belong to a log and to what is kept beside it.
func logNames(path string) ([]string, error) {
	if err := checkRestored(path); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Type().IsRegular() && e.Name() != lockName && !strings.HasSuffix(e.Name(), temporary) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// isLogName reports whether a directory with that file has a log.
func isLogName(name string) bool {
	_, ok := parseSegmentName(name)
	return ok || name == metaName
}

func (o *overlay) openFile(path, name string) error {
	f, err := os.Open(filepath.Join(path, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errReplaced
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%s has more files than one process may open: raise the limit (ulimit -n): %w", path, err)
	case err != nil:
		return err
	}
	o.bases = append(o.bases, f)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	o.files[name] = &overlayFile{base: f, limit: info.Size(), size: info.Size()}
	return nil
}

func (o *overlay) List() ([]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.files)), nil
}

func (o *overlay) Create(name string, size int64) (File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := &overlayFile{size: size}
	o.files[name] = f
	return f, nil
}

func (o *overlay) Open(name string) (File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.files[name]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
}

func (o *overlay) Rename(from, to string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.files[from]
	if f == nil {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	delete(o.files, from)
	o.files[to] = f
	return nil
}

func (o *overlay) Remove(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.files[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	delete(o.files, name)
	return nil
}

func (o *overlay) SyncDir() error { return nil }

// Close closes the files of the directory.
func (o *overlay) Close() error {
	var errs []error
	for _, f := range o.bases {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// overlayFile is a file of the directory, with what was written to it since.
type overlayFile struct {
	base io.ReaderAt // nil: the file was made here

	mu    sync.RWMutex // guards what follows
	limit int64        // as much of base as still counts
	size  int64
	pages map[int64][]byte // by number; one that is absent is as in base
}

// readBase reads what base has from an offset on. What is behind its end is zeros: a running broker may have shortened it.
func (f *overlayFile) readBase(p []byte, at int64) error {
	n := 0
	if most := min(int64(len(p)), f.limit-at); f.base != nil && most > 0 {
		var err error
		if n, err = f.base.ReadAt(p[:most], at); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	clear(p[n:])
	return nil
}

func (f *overlayFile) ReadAt(p []byte, at int64) (n int, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if rest := max(0, f.size-at); int64(len(p)) > rest {
		p, err = p[:rest], io.EOF
	}
	if len(f.pages) == 0 {
		if failed := f.readBase(p, at); failed != nil {
			return 0, failed
		}
		return len(p), err
	}
	for n < len(p) {
		part := p[n:min(len(p), n+int(memoryPage-at%memoryPage))]
		if page := f.pages[at/memoryPage]; page != nil {
			copy(part, page[at%memoryPage:])
		} else if failed := f.readBase(part, at); failed != nil {
			return n, failed
		}
		n += len(part)
		at += int64(len(part))
	}
	return n, err
}

func (f *overlayFile) WriteAt(p []byte, at int64) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n < len(p) {
		number := at / memoryPage
		page := f.pages[number]
		if page == nil {
			page = make([]byte, memoryPage)
			if err := f.readBase(page, number*memoryPage); err != nil {
				return n, err
			}
			if f.pages == nil {
				f.pages = make(map[int64][]byte)
			}
			f.pages[number] = page
		}
		copied := copy(page[at%memoryPage:], p[n:])
		n += copied
		at += int64(copied)
	}
	f.size = max(f.size, at)
	return n, nil
}

func (f *overlayFile) Size() (int64, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.size, nil
}

func (f *overlayFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size, f.limit = size, min(f.limit, size)
	for n, page := range f.pages {
		switch from := size - n*memoryPage; {
		case from <= 0:
			delete(f.pages, n)
		case from < memoryPage:
			clear(page[from:])
		}
	}
	return nil
}

func (f *overlayFile) Allocate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = max(f.size, size)
	return nil
}

func (f *overlayFile) Sync() error { return nil }

// Close does nothing: the directory holds its files, so that they can be opened again.
func (f *overlayFile) Close() error { return nil }

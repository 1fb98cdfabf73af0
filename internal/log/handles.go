package log

import (
	"container/list"
	"errors"
	"io/fs"
	"slices"
	"sync"
)

const (
	// maxClean and maxWritten bound the open files: those that were only read since their last sync, and those that were written. A log of any
	// length has no more.
	maxClean   = 128
	maxWritten = 16
)

// handles is Files with a bound on the files that are open. A file that was not used for long is closed, and opened again when it is
// used. One that loses its name is opened before that, and stays open until its user closes it.
//
// Files that were written have a bound of their own, and the one written last is closed last: a failure of the disk is reported to the file
// that was open when it happened.
type handles struct {
	Files
	maxClean, maxWritten int

	mu      sync.Mutex // guards what follows, and the fields of all handles
	named   map[string][]*handle
	clean   list.List // of *handle: open, named and not in use; the one used last is at the front
	written list.List // the same, of those written since their last sync
}

// handle is one file. Its user sees it open until the user closes it.
type handle struct {
	owner   *handles
	name    string // empty: it has lost its name, and stays open
	file    File   // nil while it is closed
	users   int    // calls that are under way
	written bool
	closed  bool
	list    *list.List // it is in that one
	element *list.Element
}

func newHandles(files Files) *handles {
	return &handles{Files: files, maxClean: maxClean, maxWritten: maxWritten, named: make(map[string][]*handle)}
}

// Create makes an empty file.
func (h *handles) Create(name string, size int64) (File, error) {
	f, err := h.Files.Create(name, size)
	if err != nil {
		return nil, err
	}
	return h.add(name, f, true), nil
}

// Open opens a file, to see whether it is there.
func (h *handles) Open(name string) (File, error) {
	f, err := h.Files.Open(name)
	if err != nil {
		return nil, err
	}
	return h.add(name, f, false), nil
}

func (h *handles) add(name string, f File, written bool) *handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := &handle{owner: h, name: name, file: f, written: written}
	h.named[name] = append(h.named[name], x)
	h.park(x)
	return x
}

// Rename renames a file. Those that are in use as the one that it replaces stay open.
func (h *handles) Rename(from, to string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.detach(to); err != nil {
		return err
	}
	if err := h.Files.Rename(from, to); err != nil {
		return err
	}
	for _, x := range h.named[from] {
		x.name = to
	}
	h.named[to] = h.named[from]
	delete(h.named, from)
	return nil
}

// Remove removes a name. Those that use the file keep it open.
func (h *handles) Remove(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.detach(name); err != nil {
		return err
	}
	return h.Files.Remove(name)
}

// detach lets the users of a name keep its file when it loses the name. The caller holds the lock.
func (h *handles) detach(name string) error {
	for _, x := range h.named[name] {
		if err := h.open(x); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, x := range h.named[name] {
		x.unlist()
		x.name = ""
	}
	delete(h.named, name)
	return nil
}

// open opens a file that is closed. The caller holds the lock.
func (h *handles) open(x *handle) (err error) {
	if x.closed {
		return fs.ErrClosed
	}
	if x.file == nil {
		x.file, err = h.Files.Open(x.name)
	}
	return err
}

// park puts a handle that is not in use where it is closed some time, and closes others. The caller holds the lock.
func (h *handles) park(x *handle) {
	if x.name == "" || x.closed || x.file == nil {
		return
	}
	if f, ok := x.file.(*framed); ok && f.isUnfinished() {
		return
	}
	x.list = &h.clean
	if x.written {
		x.list = &h.written
	}
	x.element = x.list.PushFront(x)
	for h.clean.Len() > h.maxClean {
		h.shut(&h.clean)
	}
	for h.written.Len() > h.maxWritten {
		h.shut(&h.written)
	}
}

// shut closes the file that was not used for longest.
func (h *handles) shut(l *list.List) {
	x, _ := l.Back().Value.(*handle)
	x.unlist()
	_ = x.file.Close() // what was written is written, and a sync finds what became of it
	x.file = nil
}

func (x *handle) unlist() {
	if x.list != nil {
		x.list.Remove(x.element)
		x.list, x.element = nil, nil
	}
}

// acquire returns the file for one call. The caller releases it.
func (x *handle) acquire() (File, error) {
	h := x.owner
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.open(x); err != nil {
		return nil, err
	}
	x.unlist()
	x.users++
	return x.file, nil
}

func (x *handle) release(written bool) {
	h := x.owner
	h.mu.Lock()
	defer h.mu.Unlock()
	x.written = x.written || written
	if x.users--; x.users > 0 {
		return
	}
	if x.closed {
		_ = x.file.Close() // its user has closed it meanwhile
		x.file = nil
		return
	}
	h.park(x)
}

func (x *handle) ReadAt(p []byte, at int64) (int, error) {
	f, err := x.acquire()
	if err != nil {
		return 0, err
	}
	defer x.release(false)
	return f.ReadAt(p, at)
}

func (x *handle) WriteAt(p []byte, at int64) (int, error) {
	f, err := x.acquire()
	if err != nil {
		return 0, err
	}
	defer x.release(true)
	return f.WriteAt(p, at)
}

func (x *handle) Size() (int64, error) {
	f, err := x.acquire()
	if err != nil {
		return 0, err
	}
	defer x.release(false)
	return f.Size()
}

func (x *handle) Truncate(size int64) error {
	f, err := x.acquire()
	if err != nil {
		return err
	}
	defer x.release(true)
	return f.Truncate(size)
}

func (x *handle) Allocate(size int64) error {
	f, err := x.acquire()
	if err != nil {
		return err
	}
	defer x.release(true)
	return f.Allocate(size)
}

func (x *handle) Sync() error {
	f, err := x.acquire()
	if err != nil {
		return err
	}
	defer x.release(false)
	if err := f.Sync(); err != nil {
		return err
	}
	x.owner.mu.Lock()
	defer x.owner.mu.Unlock()
	x.written = false
	return nil
}

// Close ends the use of the file.
func (x *handle) Close() error {
	h := x.owner
	h.mu.Lock()
	defer h.mu.Unlock()
	if x.closed {
		return fs.ErrClosed
	}
	x.closed = true
	x.unlist()
	if all := h.named[x.name]; x.name != "" {
		if all = slices.DeleteFunc(all, func(y *handle) bool { return y == x }); len(all) == 0 {
			delete(h.named, x.name)
		} else {
			h.named[x.name] = all
		}
	}
	if x.users > 0 || x.file == nil {
		return nil
	}
	err := x.file.Close()
	x.file = nil
	return err
}

// finish marks a file as complete: the layers write down where its frames are.
func (x *handle) finish() error {
	f, err := x.acquire()
	if err != nil {
		return err
	}
	defer x.release(true)
	if framed, ok := f.(*framed); ok {
		if err := framed.finish(); err != nil {
			return err
		}
		x.owner.mu.Lock()
		defer x.owner.mu.Unlock()
		if x.name != "" {
			framed.layers.note(x.name, framed.state())
		}
	}
	return nil
}

// isCurrent reports whether the file is as a new one would be, with the layers that new ones have.
func (x *handle) isCurrent() (bool, error) {
	layers, ok := x.owner.Files.(*Layered)
	if !ok {
		return true, nil
	}
	f, err := x.acquire()
	if err != nil {
		return false, err
	}
	defer x.release(false)
	return layers.isCurrent(f), nil
}

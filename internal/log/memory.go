package log

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// memoryPage is the unit in which files in memory take and give back memory.
const memoryPage = 64 << 10

// Memory is Files without a disk: what is in them ends with the process.
type Memory struct {
	limit int64
	used  atomic.Int64

	mu    sync.Mutex // guards the names
	files map[string]*memoryFile
}

// NewMemory makes an empty directory in memory. Writes beyond limit bytes fail as on a full disk; 0 is no limit.
func NewMemory(limit int64) *Memory {
	return &Memory{limit: limit, files: make(map[string]*memoryFile)}
}

// Used returns how many bytes of memory the files take.
func (m *Memory) Used() int64 { return m.used.Load() }

// List returns the names.
func (m *Memory) List() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.files)), nil
}

// Create makes an empty file. Memory is taken ahead if it is bounded, as a disk does; else as it is written.
func (m *Memory) Create(name string, size int64) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(name)
	f := &memoryFile{memory: m, size: size, handles: 1}
	m.files[name] = f
	if m.limit > 0 && size > 0 {
		if _, err := (memoryHandle{f}).WriteAt(make([]byte, size), 0); err != nil {
			f.handles = 0
			m.remove(name)
			return nil, err
		}
	}
	return memoryHandle{f}, nil
}

// Open opens a file.
func (m *Memory) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	f.handles++
	return memoryHandle{f}, nil
}

// Rename gives a file another name.
func (m *Memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[from]
	if f == nil {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	delete(m.files, from)
	m.remove(to)
	m.files[to] = f
	return nil
}

// Remove removes a name. The memory is given back once the file is closed, too.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	m.remove(name)
	return nil
}

// remove removes a name, if it is there. The caller holds the lock.
func (m *Memory) remove(name string) {
	if f := m.files[name]; f != nil {
		delete(m.files, name)
		f.removed = true
		f.free()
	}
}

// SyncDir does nothing.
func (m *Memory) SyncDir() error { return nil }

// Close does nothing.
func (m *Memory) Close() error { return nil }

// memoryFile is one file in memory.
type memoryFile struct {
	memory *Memory
	// The lock of the directory guards these: the file is freed when it has neither a name nor a handle.
	handles int
	removed bool

	mu    sync.RWMutex // guards what follows
	size  int64
	pages map[int64][]byte // by number; one that is absent is zeros
}

// free gives the memory back if the file is no longer in use. The caller holds the lock of the directory.
func (f *memoryFile) free() {
	if f.removed && f.handles == 0 {
		f.cut(0)
	}
}

// cut gives back the pages from size on.
func (f *memoryFile) cut(size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = size
	for n, page := range f.pages {
		switch from := size - n*memoryPage; {
		case from <= 0:
			delete(f.pages, n)
			f.memory.used.Add(-memoryPage)
		case from < memoryPage:
			clear(page[from:])
		}
	}
}

// memoryHandle is a file that is open.
type memoryHandle struct{ *memoryFile }

func (f memoryHandle) ReadAt(p []byte, at int64) (n int, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if rest := max(0, f.size-at); int64(len(p)) > rest {
		p, err = p[:rest], io.EOF
	}
	for n < len(p) {
		part := p[n:min(len(p), n+int(memoryPage-at%memoryPage))]
		if page := f.pages[at/memoryPage]; page == nil {
			clear(part)
		} else {
			copy(part, page[at%memoryPage:])
		}
		n += len(part)
		at += int64(len(part))
	}
	return n, err
}

func (f memoryHandle) WriteAt(p []byte, at int64) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n < len(p) {
		page := f.pages[at/memoryPage]
		if page == nil {
			if used := f.memory.used.Add(memoryPage); f.memory.limit > 0 && used > f.memory.limit {
				f.memory.used.Add(-memoryPage)
				return n, fmt.Errorf("write in memory: %w", ErrFull)
			}
			page = make([]byte, memoryPage)
			if f.pages == nil {
				f.pages = make(map[int64][]byte)
			}
			f.pages[at/memoryPage] = page
		}
		copied := copy(page[at%memoryPage:], p[n:])
		n += copied
		at += int64(copied)
		f.size = max(f.size, at)
	}
	return n, nil
}

func (f memoryHandle) Size() (int64, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.size, nil
}

func (f memoryHandle) Truncate(size int64) error {
	f.cut(size)
	return nil
}

func (f memoryHandle) Allocate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = max(f.size, size)
	return nil
}

func (f memoryHandle) Sync() error { return nil }

func (f memoryHandle) Close() error {
	f.memory.mu.Lock()
	defer f.memory.mu.Unlock()
	f.handles--
	f.free()
	return nil
}

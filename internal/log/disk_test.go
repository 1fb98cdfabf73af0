package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// sector is what a disk writes whole or not at all.
const sector = 512

var errCrash = errors.New("disk: the machine is off")

// disk is Files that lose, at a crash, what was not synced: each sector of a file, the length, and each name for itself. A sector is left as any of
// the writes to it left it, whatever became of the sectors beside it.
type disk struct {
	mu      sync.Mutex
	durable map[string]*inode // the names that are on the disk
	names   map[string]*inode // the names that the operating system has
	changes []nameChange      // between the two, oldest first
	steps   int               // calls that change something
	stopAt  int               // the machine is off behind so many; 0: never
	off     bool

	ignored string // a call of Sync or SyncDir that does nothing: file:line
	// fault returns an error for a call, and how many bytes of a write are written all the same. Nil: none.
	fault func(operation, name string) (int, error)
}

// inode is one file.
type inode struct {
	durable []byte
	current []byte
	changes []change // between the two, oldest first
}

// change is a write, or a new length if it has no bytes.
type change struct {
	at    int64
	bytes []byte
	size  int64 // of the file behind it
}

// nameChange gives a file a name, and takes one away.
type nameChange struct {
	from, to string
	file     *inode
}

func newDisk() *disk {
	return &disk{durable: map[string]*inode{}, names: map[string]*inode{}}
}

// step counts a call that changes something.
func (d *disk) step(operation, name string) (int, error) {
	if d.off {
		return 0, errCrash
	}
	if d.steps++; d.stopAt > 0 && d.steps > d.stopAt {
		d.off = true
		return 0, errCrash
	}
	if d.fault != nil {
		return d.fault(operation, name)
	}
	return 0, nil
}

// isIgnored reports whether the sync that the log has called is to be left out.
func (d *disk) isIgnored() bool {
	if d.ignored == "" {
		return false
	}
	pcs := make([]uintptr, 10)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for frame, more := frames.Next(); ; frame, more = frames.Next() {
		if name := filepath.Base(frame.File); !strings.HasSuffix(name, "_test.go") && name != "handles.go" && !strings.HasPrefix(name, "framed") {
			return fmt.Sprintf("%s:%d", name, frame.Line) == d.ignored
		}
		if !more {
			return false
		}
	}
}

// powerOff ends everything, and leaves what the disk happens to have.
func (d *disk) powerOff(rng *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.changes {
		if rng.IntN(2) == 0 {
			c.apply(d.durable)
		}
	}
	for _, f := range d.inodes() {
		f.lose(rng)
	}
	d.names = maps.Clone(d.durable)
	d.changes, d.stopAt, d.off, d.steps = nil, 0, false, 0
}

// kill ends the process alone: the operating system keeps what it has.
func (d *disk) kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopAt, d.off, d.steps = 0, false, 0
}

// inodes are the files with a name, in an order that a seed replays.
func (d *disk) inodes() (all []*inode) {
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		if f := d.durable[name]; !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// lose leaves each sector as one of the changes left it, and the length as another.
func (f *inode) lose(rng *rand.Rand) {
	n := len(f.changes)
	size := int64(len(f.durable))
	lengths := rng.IntN(n + 1)
	if lengths > 0 {
		size = f.changes[lengths-1].size
	}
	longest := size
	for _, c := range f.changes {
		longest = max(longest, c.size)
	}
	content := make([]byte, longest)
	copy(content, f.durable)
	kept := make([]int, longest/sector+1)
	for i := range kept {
		switch rng.IntN(3) {
		case 0:
			kept[i] = rng.IntN(n + 1)
		case 1:
			kept[i] = n
		}
	}
	for i, c := range f.changes {
		for s := range kept {
			// A file system keeps a length in one piece: it is there for all sectors, or for none.
			if i < kept[s] && c.bytes != nil || i < lengths && c.bytes == nil {
				c.apply(content, int64(s)*sector, min(longest, int64(s+1)*sector))
			}
		}
	}
	f.durable = content[:size]
	f.current, f.changes = slices.Clone(f.durable), nil
}

// apply changes the bytes of a file from one offset to another.
func (c change) apply(content []byte, from, to int64) {
	if c.bytes == nil {
		if c.size < to {
			clear(content[max(from, c.size):to])
		}
		return
	}
	end := c.at + int64(len(c.bytes))
	if from, to = max(from, c.at), min(to, end); from < to {
		copy(content[from:to], c.bytes[from-c.at:])
	}
}

func (c nameChange) apply(names map[string]*inode) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.to != "" {
		names[c.to] = c.file
	}
}

func (d *disk) change(c nameChange) {
	c.apply(d.names)
	d.changes = append(d.changes, c)
}

func (d *disk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.names)), nil
}

func (d *disk) Create(name string, size int64) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.step("create", name); err != nil {
		return nil, err
	}
	f := d.names[name]
	if f == nil {
		f = new(inode)
		d.change(nameChange{to: name, file: f})
	}
	f.resize(0)
	f.resize(size)
	return &diskFile{d, f, name}, nil
}

func (d *disk) Open(name string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[name]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	if d.fault != nil {
		if _, err := d.fault("open", name); err != nil {
			return nil, err
		}
	}
	return &diskFile{d, f, name}, nil
}

func (d *disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.step("rename", from); err != nil {
		return err
	}
	f := d.names[from]
	if f == nil {
		return fs.ErrNotExist
	}
	d.change(nameChange{from, to, f})
	return nil
}

func (d *disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.step("remove", name); err != nil {
		return err
	}
	if d.names[name] == nil {
		return fs.ErrNotExist
	}
	d.change(nameChange{from: name})
	return nil
}

func (d *disk) SyncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.step("syncdir", ""); err != nil {
		return err
	}
	if !d.isIgnored() {
		d.durable, d.changes = maps.Clone(d.names), nil
	}
	return nil
}

func (d *disk) Close() error { return nil }

// diskFile is a file that is open.
type diskFile struct {
	disk *disk
	*inode
	name string
}

func (f *inode) resize(size int64) {
	if size <= int64(len(f.current)) {
		f.current = f.current[:size]
	} else {
		f.current = append(f.current, make([]byte, size-int64(len(f.current)))...)
	}
	f.changes = append(f.changes, change{size: size})
}

func (f *diskFile) ReadAt(p []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.off {
		return 0, errCrash
	}
	if f.disk.fault != nil {
		if _, err := f.disk.fault("read", f.name); err != nil {
			return 0, err
		}
	}
	if at >= int64(len(f.current)) {
		return 0, io.EOF
	}
	n := copy(p, f.current[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) WriteAt(p []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, err := f.disk.step("write", f.name)
	if err != nil {
		p = p[:min(n, len(p))]
	} else if n > 0 {
		p = p[:min(n, len(p))] // a short write without an error
	}
	if len(p) > 0 {
		end := at + int64(len(p))
		if end > int64(len(f.current)) {
			f.current = append(f.current, make([]byte, end-int64(len(f.current)))...)
		}
		copy(f.current[at:], p)
		f.changes = append(f.changes, change{at, slices.Clone(p), int64(len(f.current))})
	}
	return len(p), err
}

func (f *diskFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.current)), nil
}

func (f *diskFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if _, err := f.disk.step("truncate", f.name); err != nil {
		return err
	}
	f.resize(size)
	return nil
}

func (f *diskFile) Allocate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if _, err := f.disk.step("allocate", f.name); err != nil {
		return err
	}
	if size > int64(len(f.current)) {
		f.resize(size)
	}
	return nil
}

func (f *diskFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if _, err := f.disk.step("sync", f.name); err != nil {
		return err
	}
	if !f.disk.isIgnored() {
		f.durable, f.changes = slices.Clone(f.current), nil
	}
	return nil
}

func (f *diskFile) Close() error { return nil }

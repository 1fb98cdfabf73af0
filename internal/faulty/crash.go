package faulty

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/conchmq/conch/internal/log"
)

// ErrOff is the error of each call while the machine of a disk is off.
var ErrOff = errors.New("the machine is off")

// CrashDisk is the files of a log in memory. At a crash it loses some of what was not synced: each write and each name for itself.
type CrashDisk struct {
	mu      sync.Mutex
	durable map[string]*crashFile // the names that are on the disk
	names   map[string]*crashFile // the names that the operating system has
	changes []naming              // between the two, oldest first
	life    int                   // handles of an earlier life are dead
	off     bool
	slow    func() time.Duration
}

// crashFile is one file.
type crashFile struct {
	durable, current []byte
	changes          []writing // between the two, oldest first
}

// writing is a write, or a new length if it has no bytes.
type writing struct {
	at    int64
	bytes []byte
	size  int64
}

// naming takes a name away, and gives a file another.
type naming struct {
	from, to string
	file     *crashFile
}

// NewCrashDisk makes an empty disk.
func NewCrashDisk() *CrashDisk {
	return &CrashDisk{durable: map[string]*crashFile{}, names: map[string]*crashFile{}}
}

// Slow makes each sync of a file take what wait returns; nil is no time.
func (d *CrashDisk) Slow(wait func() time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = wait
}

// PowerOff makes each call fail until Restart.
func (d *CrashDisk) PowerOff() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
}

// Restart leaves what the disk happens to have, if it was off. Files that were open stay closed.
func (d *CrashDisk) Restart(random *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life++
	if !d.off {
		return
	}
	for _, c := range d.changes {
		if random.IntN(2) == 0 {
			c.apply(d.durable)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		d.durable[name].lose(random)
	}
	d.names, d.changes, d.off = maps.Clone(d.durable), nil, false
}

// lose leaves each change with a chance of one in two. What was kept is durable.
func (f *crashFile) lose(random *rand.Rand) {
	for _, c := range f.changes {
		if random.IntN(2) == 0 {
			f.durable = c.apply(f.durable)
		}
	}
	f.current, f.changes = slices.Clone(f.durable), nil
}

func (c writing) apply(to []byte) []byte {
	size := c.size
	if c.bytes != nil {
		size = max(int64(len(to)), c.at+int64(len(c.bytes)))
	}
	if size <= int64(len(to)) {
		clear(to[size:]) // the array is used again
		to = to[:size]
	} else {
		to = append(to, make([]byte, size-int64(len(to)))...)
	}
	copy(to[min(c.at, size):], c.bytes)
	return to
}

func (c naming) apply(names map[string]*crashFile) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.to != "" {
		names[c.to] = c.file
	}
}

// List returns the names.
func (d *CrashDisk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.names)), d.dead(d.life)
}

// dead is an error if the machine is off, or was since a life.
func (d *CrashDisk) dead(life int) error {
	if d.off || life != d.life {
		return ErrOff
	}
	return nil
}

// Create makes an empty file.
func (d *CrashDisk) Create(name string, size int64) (log.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.dead(d.life); err != nil {
		return nil, err
	}
	f := d.names[name]
	if f == nil {
		f = new(crashFile)
		d.name(naming{to: name, file: f})
	}
	f.change(writing{})
	f.change(writing{size: size})
	return crashHandle{d, f, d.life}, nil
}

func (d *CrashDisk) name(c naming) {
	c.apply(d.names)
	d.changes = append(d.changes, c)
}

func (f *crashFile) change(c writing) {
	f.current = c.apply(f.current)
	f.changes = append(f.changes, c)
}

// Open opens a file.
func (d *CrashDisk) Open(name string) (log.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[name]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return crashHandle{d, f, d.life}, d.dead(d.life)
}

// Rename gives a file another name.
func (d *CrashDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[from]
	if f == nil {
		return fs.ErrNotExist
	}
	err := d.dead(d.life)
	if err == nil {
		d.name(naming{from, to, f})
	}
	return err
}

// Remove removes a name.
func (d *CrashDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] == nil {
		return fs.ErrNotExist
	}
	err := d.dead(d.life)
	if err == nil {
		d.name(naming{from: name})
	}
	return err
}

// SyncDir makes the names durable.
func (d *CrashDisk) SyncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.dead(d.life)
	if err == nil {
		d.durable, d.changes = maps.Clone(d.names), nil
	}
	return err
}

// Close does nothing.
func (d *CrashDisk) Close() error { return nil }

// crashHandle is a file that is open.
type crashHandle struct {
	disk *CrashDisk
	file *crashFile
	life int
}

func (h crashHandle) ReadAt(p []byte, at int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.disk.dead(h.life); err != nil {
		return 0, err
	}
	n := copy(p, h.file.current[min(at, int64(len(h.file.current))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h crashHandle) WriteAt(p []byte, at int64) (int, error) {
	if err := h.change(writing{at: at, bytes: append([]byte{}, p...)}); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (h crashHandle) change(c writing) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	err := h.disk.dead(h.life)
	if err == nil {
		h.file.change(c)
	}
	return err
}

func (h crashHandle) Size() (int64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return int64(len(h.file.current)), h.disk.dead(h.life)
}

func (h crashHandle) Truncate(size int64) error { return h.change(writing{size: size}) }

func (h crashHandle) Allocate(size int64) error {
	if now, err := h.Size(); err != nil || size <= now {
		return err
	}
	return h.change(writing{size: size})
}

// Sync makes the file durable, after a while if the disk is slow.
func (h crashHandle) Sync() error {
	h.disk.mu.Lock()
	slow := h.disk.slow
	h.disk.mu.Unlock()
	if slow != nil {
		<-time.After(slow())
	}
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.disk.dead(h.life); err != nil {
		return err
	}
	for _, c := range h.file.changes {
		h.file.durable = c.apply(h.file.durable)
	}
	h.file.changes = nil
	return nil
}

func (h crashHandle) Close() error { return nil }

package faulty

import (
	"errors"
	"sync/atomic"

	"github.com/conchmq/conch/internal/log"
)

// ErrDisk is the error of each sync once a disk is broken.
var ErrDisk = errors.New("input/output error")

// Disk is the files of a log, on a disk that breaks.
type Disk struct {
	log.Files
	broken atomic.Bool
}

// NewDisk makes a disk that works so far.
func NewDisk(files log.Files) *Disk { return &Disk{Files: files} }

// Break makes each sync fail from now on.
func (d *Disk) Break() { d.broken.Store(true) }

// Create makes a file.
func (d *Disk) Create(name string, size int64) (log.File, error) {
	f, err := d.Files.Create(name, size)
	return diskFile{f, d}, err
}

// Open opens a file.
func (d *Disk) Open(name string) (log.File, error) {
	f, err := d.Files.Open(name)
	return diskFile{f, d}, err
}

type diskFile struct {
	log.File
	disk *Disk
}

// Sync fails if the disk is broken.
func (f diskFile) Sync() error {
	if f.disk.broken.Load() {
		return ErrDisk
	}
	return f.File.Sync()
}

package store

import (
	"cmp"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/log"
)

// Options are the settings of a store.
type Options struct {
	// Dir is the directory of the log; empty keeps all in memory.
	Dir string
	// Fsync is when the log is synced.
	Fsync Fsync
	// Compress is how new files are compressed.
	Compress Compression
	// KeyFile names the key that files are encrypted with; empty: they are not. OldKeyFile names the key of older files.
	KeyFile, OldKeyFile string
	// SegmentSize is the size of a file of the log; 0 is the default.
	SegmentSize int
	// Memory bounds the streams in memory: entries and their ids without a directory, ids with one. 0 is no bound.
	Memory int64
	// Gather is how long what is appended may wait for more before it is written, unless Fsync is FsyncAlways.
	Gather time.Duration
	// Unsynced is how many bytes may wait for a sync before appends wait; 0 is no bound.
	Unsynced int
	// CheckpointEvery is how many bytes of changes a checkpoint comes after; 0 is the default.
	CheckpointEvery int64
	// CompactRate is how many bytes a second are read and written to give space back; 0 is no bound.
	CompactRate int
	// Version is that of conch, for the manifest of a backup.
	Version string
	// Settings are the given values of settings that are state, in the form of stream.Setting.Value.
	Settings []Setting
	// Log gets what goes wrong in the background.
	Log zerolog.Logger

	// ReadOnly opens the directory as it is at one instant, without its lock, also while a conch runs there. Nothing is written to it:
	// what opening changes is in memory. See OpenReadOnly.
	ReadOnly bool

	// Wrap replaces the files of the directory; tests make them fail. It may be nil.
	Wrap func(log.Files) log.Files
}

// Fsync is when the log is synced: so often, or one of the constants.
type Fsync time.Duration

const (
	// FsyncAlways syncs before replies.
	FsyncAlways Fsync = -1
	// FsyncNo leaves it to the kernel.
	FsyncNo Fsync = 0
)

// The bounds of SegmentSize.
const (
	MinSegmentSize = 64 << 10
	MaxSegmentSize = 1 << 30

	defaultSegmentSize = 64 << 20
)

func (o Options) withDefaults() Options {
	switch {
	case o.CheckpointEvery > 0:
	case o.Dir == "": // each segment, so that what is dead goes soon
		o.CheckpointEvery = max(o.segmentSize(), MinSegmentSize)
	default:
		o.CheckpointEvery = checkpointEvery
	}
	return o
}

// policy is the same for the log.
func (f Fsync) policy() log.Fsync { return log.Fsync(f) }

// memorySegments is how many parts the bound of a memory has: a segment is given back as a whole.
const memorySegments = 64

// segmentSize is smaller in memory, where a segment of dead entries takes memory until it goes.
func (o *Options) segmentSize() int64 {
	size := int64(cmp.Or(o.SegmentSize, defaultSegmentSize))
	if o.Dir == "" && o.Memory > 0 {
		size = min(max(o.Memory/memorySegments, MinSegmentSize), size)
	}
	return size
}

// maxReserve bounds what is kept free for a full disk.
const maxReserve = 64 << 20

// reserve is what is kept free: all that may be accepted and not yet written when the disk is full, as far as Unsynced bounds it, with
// the indexes of its segments.
func (o *Options) reserve() int64 {
	if o.Dir == "" || o.ReadOnly {
		return 0 // nothing is full
	}
	n := int64(min(cmp.Or(o.Unsynced, maxReserve), maxReserve))
	return n + n/8
}

// recent is how much of the log stays in memory beside its files. In memory it would be there twice.
func (o *Options) recent() int64 {
	if o.Dir == "" {
		return MinSegmentSize
	}
	return 0 // the log's default
}

package command

// LogStatus is how the log of streams does, at one instant. The zero value is that of a server without a log.
type LogStatus struct {
	Directory bool  // it is on disk
	Err       error // nil, or why nothing can be added
	Failed    bool  // Err is final
	Fsync     string

	Segments       int
	Bytes          int64 // of files
	RecentBytes    int64 // of the log, in memory beside them
	UnsyncedBytes  int64
	LastRecord     uint64
	SyncedRecord   uint64 // a power cut leaves all up to here
	Writes, Syncs  uint64
	Damages        int // places with a damaged record, found at the start
	MemoryLimit    int64
	EntriesMemory  int64 // of entries, where they are in memory alone
	Checkpointing  bool
	CheckpointErr  bool  // the last one could not be written
	CheckpointedAt int64 // Unix seconds; 0 if this process has written none
	PendingBytes   int64 // of changes since the last one
}

// IsFull reports whether there is no space on the disk.
func (l *LogStatus) IsFull() bool { return l.Err != nil && !l.Failed }

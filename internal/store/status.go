package store

import (
	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/log"
)

// Status is how the store does now, for INFO and metrics. Any goroutine may call it.
func (s *Store) Status() command.LogStatus {
	stats, progress, c := s.log.Stats(), s.log.Progress(), s.checkpoints
	l := command.LogStatus{
		Directory: s.memory == nil, Err: s.log.Err(), Failed: s.log.Failed() != nil, Fsync: log.Fsync(s.options.Fsync).String(),
		Segments: stats.Segments, Bytes: stats.Bytes, RecentBytes: stats.Recent, UnsyncedBytes: s.log.Unsynced(),
		VisibleBytes: stats.Visible, AppendedBytes: stats.AppendedBytes, RewrittenBytes: stats.RewrittenBytes,
		RemovedSegments: stats.Removed, RewrittenSegments: stats.Rewritten, CompactErr: stats.RewriteError != nil,
		LastRecord: s.log.Last(), SyncedRecord: progress.Synced, Writes: stats.Writes, Syncs: stats.Syncs,
		Damages: len(s.recovery.Damages), MemoryLimit: s.options.Memory,
		Checkpointing: c.running.Load(), CheckpointErr: c.failed.Load(), CheckpointedAt: c.saved.Load(), PendingBytes: c.pending.Load(),
	}
	if s.layered != nil {
		layers := s.layered.Status()
		l.Compress, l.Encrypted, l.OldKeyFiles = s.options.Compress.String(), s.options.KeyFile != "", layers.Waiting
	}
	if s.memory != nil {
		l.EntriesMemory = s.memory.Used()
	}
	return l
}

package command

import (
	"cmp"
	"fmt"
)

// LogStatus is how the log of streams does, at one instant. The zero value is that of a server without a log.
type LogStatus struct {
	Directory bool  // it is on disk
	Err       error // nil, or why nothing can be added
	Failed    bool  // Err is final
	Fsync     string

	Segments       int
	Bytes          int64 // of files
	VisibleBytes   int64 // of them, about: what entries that exist take
	AppendedBytes  int64 // since the start, as what follows
	RewrittenBytes int64 // to give space back
	// RemovedSegments had no entry any more; of RewrittenSegments the entries were written again.
	RemovedSegments, RewrittenSegments uint64
	CompactErr                         bool  // giving space back fails
	RecentBytes                        int64 // of the log, in memory beside them
	UnsyncedBytes                      int64
	LastRecord                         uint64
	SyncedRecord                       uint64 // a power cut leaves all up to here
	Writes, Syncs                      uint64
	Damages                            int // places with a damaged record, found at the start
	MemoryLimit                        int64
	EntriesMemory                      int64 // of entries, where they are in memory alone
	Checkpointing                      bool
	CheckpointErr                      bool  // the last one could not be written
	CheckpointedAt                     int64 // Unix seconds; 0 if this process has written none
	PendingBytes                       int64 // of changes since the last one

	Compress    string // empty in memory
	Encrypted   bool   // new files are
	OldKeyFiles int    // files that have another key than new ones, or none
}

// IsFull reports whether there is no space on the disk.
func (l *LogStatus) IsFull() bool { return l.Err != nil && !l.Failed }

// state is the word of INFO for Err.
func (l *LogStatus) state() string {
	switch {
	case l.Failed:
		return "failed"
	case l.IsFull():
		return "full"
	}
	return "ok"
}

// writeAmplification is how many bytes were written for each one that was appended.
func (l *LogStatus) writeAmplification() float64 {
	if l.AppendedBytes == 0 {
		return 1
	}
	return float64(l.AppendedBytes+l.RewrittenBytes) / float64(l.AppendedBytes)
}

// logStatus is the status now. Any goroutine may call it.
func (s *Service) logStatus() LogStatus {
	if s.options.LogStatus == nil {
		return LogStatus{}
	}
	return s.options.LogStatus()
}

// infoPersistence is the section Persistence. What Redis has of the same meaning has Redis' name: the log is its AOF, a
// checkpoint its RDB file.
func infoPersistence(w *response) []string {
	l := w.executor.service.logStatus()
	status := map[bool]string{false: "ok", true: "err"}
	number := map[bool]int{true: 1}
	return []string{
		fmt.Sprintf("loading:%d", number[w.executor.service.Loading() != nil]), // ioredis waits for 0
		fmt.Sprintf("rdb_bgsave_in_progress:%d", number[l.Checkpointing]),
		fmt.Sprintf("rdb_last_save_time:%d", l.CheckpointedAt),
		"rdb_last_bgsave_status:" + status[l.CheckpointErr],
		fmt.Sprintf("aof_enabled:%d", number[l.Directory]),
		"aof_last_write_status:" + status[l.Err != nil],
		fmt.Sprintf("aof_current_size:%d", l.Bytes),
		"log_state:" + l.state(),
		"log_fsync:" + l.Fsync,
		fmt.Sprintf("log_segments:%d", l.Segments),
		fmt.Sprintf("log_visible_bytes:%d", l.VisibleBytes),
		fmt.Sprintf("log_appended_bytes:%d", l.AppendedBytes),
		fmt.Sprintf("log_rewritten_bytes:%d", l.RewrittenBytes),
		fmt.Sprintf("log_write_amplification:%.2f", l.writeAmplification()),
		fmt.Sprintf("log_removed_segments:%d", l.RemovedSegments),
		fmt.Sprintf("log_rewritten_segments:%d", l.RewrittenSegments),
		"log_compact_status:" + status[l.CompactErr],
		fmt.Sprintf("log_last_record:%d", l.LastRecord),
		fmt.Sprintf("log_synced_record:%d", l.SyncedRecord),
		fmt.Sprintf("log_unsynced_bytes:%d", l.UnsyncedBytes),
		fmt.Sprintf("log_syncs:%d", l.Syncs),
		fmt.Sprintf("log_damages:%d", l.Damages),
		"log_compress:" + cmp.Or(l.Compress, "none"),
		fmt.Sprintf("log_encrypted:%d", number[l.Encrypted]),
		fmt.Sprintf("log_files_with_old_key:%d", l.OldKeyFiles),
		fmt.Sprintf("checkpoint_pending_bytes:%d", l.PendingBytes),
		fmt.Sprintf("stream_entries_missed:%d", w.executor.service.streams.missed),
		fmt.Sprintf("stream_memory:%d", w.executor.service.streamMemory(&l)),
		fmt.Sprintf("stream_memory_limit:%d", l.MemoryLimit),
	}
}

// infoKeyspace is the section Keyspace: as in Redis, a database without a key has no line.
func infoKeyspace(w *response) []string {
	streams := w.streams()
	if streams == nil || streams.Len() == 0 {
		return nil
	}
	ttl := 0.0
	if streams.WithExpiry() > 0 {
		ttl = max(0, streams.MeanExpiry()-float64(w.executor.service.options.Store.Now()))
	}
	return []string{fmt.Sprintf("db0:keys=%d,expires=%d,avg_ttl=%.0f", streams.Len(), streams.WithExpiry(), ttl)}
}

// streamMemory is the bytes that stream-memory bounds. The core calls it.
func (s *Service) streamMemory(l *LogStatus) int64 {
	if s.options.Store == nil {
		return 0
	}
	return s.options.Store.Streams().Memory() + l.EntriesMemory
}

// HasLogFailed reports whether the log has failed, so that only a restart can help. Any goroutine may call it.
func (s *Service) HasLogFailed() bool {
	return s.options.Store != nil && s.options.Store.Failed() != nil
}

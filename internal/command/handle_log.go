package command

import (
	"fmt"
	"time"

	"github.com/conchmq/conch/protocol"
)

// LogControl is what operators do with the log of streams. Any goroutine but the core's calls Backup; the others do not wait.
type LogControl interface {
	// Compact lets the log give space back now.
	Compact()
	// Backup begins a backup into a folder. It may wait for the disk.
	Backup(path string) error
	// BackupStatus is how the last backup does, or did.
	BackupStatus() BackupStatus
}

// BackupStatus is a backup that runs, or the last one of this process.
type BackupStatus struct {
	Running         bool
	Path            string // empty: there was none
	Files, AllFiles int    // that are in the folder, of all
	Bytes           int64  // of these
	Began, Ended    time.Time
	Err             error // of one that has ended
	Record          uint64
	Sequence        uint64 // of the last message before its instant
	Copied, Linked  int    // files that were not there before
}

// state is the word for it.
func (b *BackupStatus) state() string {
	switch {
	case b.Path == "":
		return "none"
	case b.Running:
		return "running"
	case b.Err != nil:
		return "failed"
	}
	return "done"
}

// isTyped reports whether a person typed the command: Redis' libraries have none of the name.
func (w *response) isTyped() bool { return w.inv.dialect == protocol.Inline }

// appendLogLine replies to a typed command in a line.
func appendLogLine(b []byte, crlf bool, words string) []byte {
	return protocol.AppendLineEnd(protocol.EscapeMessage(append(b, "OK LOG "...), []byte(words)), crlf)
}

// logControl replies with an error if there is no log.
func (w *response) logControl() LogControl {
	c := w.executor.service.options.LogControl
	if c == nil {
		w.fail(protocol.Errorf("there is no log on this server: streams are in memory; start conch with --dir"))
	}
	return c
}

// logBackup is LOG BACKUP: it replies once the backup has begun, as BGSAVE of Redis does.
func logBackup(w *response) {
	c := w.logControl()
	if c == nil {
		return
	}
	path, isTyped, crlf := string(w.inv.args[2]), w.isTyped(), w.inv.crlf // the reply comes without them
	w.deferToReader(func() func(*response) {
		err := c.Backup(path)
		return func(w *response) {
			switch {
			case err != nil:
				w.fail(protocol.Errorf("%s", err))
			case isTyped:
				w.buf = appendLogLine(w.buf, crlf, "BACKUP "+path)
			default:
				w.simple("Background backup started")
			}
		}
	})
}

// logCompact is LOG COMPACT.
func logCompact(w *response) {
	if c := w.logControl(); c != nil {
		c.Compact()
		if w.isTyped() {
			w.buf = appendLogLine(w.buf, w.inv.crlf, "COMPACT")
			return
		}
		w.ok()
	}
}

// logStatusReply is LOG STATUS: fields and values, as a map.
func logStatusReply(w *response) {
	c := w.logControl()
	if c == nil {
		return
	}
	b, l := c.BackupStatus(), w.executor.service.logStatus()
	text := ""
	if b.Err != nil {
		text = b.Err.Error()
	}
	fields := []string{
		"state", l.state(),
		"segments", fmt.Sprint(l.Segments),
		"bytes", fmt.Sprint(l.Bytes),
		"last_record", fmt.Sprint(l.LastRecord),
		"synced_record", fmt.Sprint(l.SyncedRecord),
		"backup_state", b.state(),
		"backup_path", b.Path,
		"backup_files", fmt.Sprint(b.Files),
		"backup_all_files", fmt.Sprint(b.AllFiles),
		"backup_bytes", fmt.Sprint(b.Bytes),
		"backup_copied_files", fmt.Sprint(b.Copied),
		"backup_linked_files", fmt.Sprint(b.Linked),
		"backup_began", unixSeconds(b.Began),
		"backup_ended", unixSeconds(b.Ended),
		"backup_last_record", fmt.Sprint(b.Record),
		"backup_last_sequence", fmt.Sprint(b.Sequence),
		"backup_error", text,
	}
	if w.isTyped() {
		for i := 0; i < len(fields); i += 2 {
			row := protocol.EscapeMessage(nil, []byte(fields[i+1])) // a path may have any bytes
			w.buf = protocol.AppendLineEnd(fmt.Appendf(w.buf, "# %s %s", fields[i], row), w.inv.crlf)
		}
		w.buf = appendLogLine(w.buf, w.inv.crlf, "STATUS")
		return
	}
	w.mapHeader(len(fields) / 2)
	for _, f := range fields {
		w.text(f)
	}
}

// unixSeconds is 0 for a time that has not come.
func unixSeconds(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return fmt.Sprint(t.Unix())
}

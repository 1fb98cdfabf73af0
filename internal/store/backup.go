package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/backup"
	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/log"
)

// backups makes backups while the broker runs, one at a time.
type backups struct {
	mu      sync.Mutex // guards what follows
	status  command.BackupStatus
	cancel  context.CancelFunc // ends the one that runs
	stopped bool
}

// stop ends the backup that runs, and refuses others.
func (b *backups) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	if b.cancel != nil {
		b.cancel()
	}
}

// BackupStatus is how the last backup does, or did. Any goroutine may call it.
func (s *Store) BackupStatus() command.BackupStatus {
	s.backups.mu.Lock()
	defer s.backups.mu.Unlock()
	return s.backups.status
}

// Backup begins a backup into a folder, which goes on beside all else until Stop. It touches the disk, so the core does not call it.
func (s *Store) Backup(path string) error {
	switch {
	case s.memory != nil:
		return errors.New("streams are in memory, and have no backup; start conch with --dir")
	case !filepath.IsAbs(path):
		return fmt.Errorf("the folder of a backup is on conch's machine, and begins with /, not %q", path)
	}
	b := &s.backups
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.stopped:
		return errors.New("conch is stopping")
	case b.status.Running:
		return fmt.Errorf("a backup into %s is running; LOG STATUS shows how far it is", b.status.Path)
	}
	folder, err := backup.Begin(path, backup.Options{Dir: s.options.Dir, Store: s.log.ID(), Rate: int64(s.options.CompactRate)})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.status = command.BackupStatus{Running: true, Path: path, Began: time.Now()}
	s.tasks.Go(func() {
		defer cancel()
		result, err := s.runBackup(ctx, folder)
		s.noteBackup(result, errors.Join(err, folder.Close()))
	})
	return nil
}

// Sync writes and syncs all that was appended.
func (s *Store) Sync() error { return s.log.Sync() }

// noteBackup records the end of a backup.
func (s *Store) noteBackup(r backup.Result, err error) {
	b := &s.backups
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped && errors.Is(err, context.Canceled) {
		err = errors.New("conch was stopped; the next backup goes on with what is copied")
	}
	st := &b.status
	st.Running, st.Ended, st.Err = false, time.Now(), err
	if err != nil {
		s.options.Log.Error().Err(err).Str("path", st.Path).Msg("a backup has failed; an earlier one in that folder is unharmed")
		return
	}
	st.Record, st.Sequence, st.Copied, st.Linked = r.Manifest.Record, r.Manifest.Sequence, r.Copied, r.Linked
	s.options.Log.Info().Str("path", st.Path).Uint64("last_sequence", st.Sequence).Int("files", len(r.Manifest.Files)).
		Int("copied", r.Copied).Int("linked", r.Linked).Msg("a backup is complete")
}

// runBackup is one backup.
func (s *Store) runBackup(ctx context.Context, folder *backup.Backup) (r backup.Result, err error) {
	var m backup.Manifest
	if err := s.checkpoints.between(ctx, func() { m, err = s.take(ctx, folder) }); err != nil {
		return r, err
	}
	if err != nil {
		return r, err
	}
	return folder.Finish(ctx, m, func(p backup.Progress) {
		s.backups.mu.Lock()
		defer s.backups.mu.Unlock()
		s.backups.status.Files, s.backups.status.AllFiles, s.backups.status.Bytes = p.Files, p.AllFiles, p.Bytes
	})
}

// maxTakes is how often the files of a backup are taken anew because the rewriter has removed one of them meanwhile.
const maxTakes = 100

// take chooses the files of a backup, and holds them. It runs on the checkpointer's goroutine: neither checkpoints nor the head change.
//
// The segments are taken first, and the instant comes then. So what the rewriter has dropped from them was deleted before the instant.
func (s *Store) take(ctx context.Context, folder *backup.Backup) (m backup.Manifest, err error) {
	service := *s.service.Load()
	for range maxTakes {
		folder.Drop()
		if err = s.takeNew(folder); errors.Is(err, backup.ErrGone) {
			continue
		}
		if err == nil {
			err = s.log.ReadyToRoll(ctx)
		}
		if errors.Is(err, log.ErrFull) {
			err = errors.New("the disk of the store has no space for a new segment, which a backup begins: give space back, or stop conch and back up its directory")
		}
		if err != nil {
			return m, err
		}
		var segment uint64
		if !service.RunOnCore(func(broker.View) {
			m = backup.Manifest{Conch: s.options.Version, Taken: time.Now(), Sequence: max(s.sequence, s.streams.Sequence())}
			m.Record, segment, err = s.log.Roll()
		}) {
			return m, errStopped
		}
		if err == nil {
			err = s.log.WaitSealed(ctx, segment)
		}
		if err == nil {
			err = s.takeNew(folder)
		}
		if errors.Is(err, backup.ErrGone) {
			continue
		}
		return m, errors.Join(err, leaveLater(folder, segment))
	}
	return m, err
}

// takeNew takes the files that are not taken yet.
func (s *Store) takeNew(folder *backup.Backup) error {
	names, err := folder.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if isPart(name) && !folder.Has(name) {
			if err := folder.Take(name, name != log.MetaName); err != nil {
				return err
			}
		}
	}
	return nil
}

// isPart reports whether a file belongs to a backup.
func isPart(name string) bool {
	_, isSegment := log.SegmentID(name)
	return isSegment || name == log.MetaName || strings.HasPrefix(name, prefix) && (strings.HasSuffix(name, baseEnding) || strings.HasSuffix(name, deltaEnding))
}

// leaveLater gives up the segments behind the last of a backup.
func leaveLater(folder *backup.Backup, last uint64) error {
	names, err := folder.Names()
	for _, name := range names {
		if id, ok := log.SegmentID(name); ok && id > last {
			folder.Without(name)
		}
	}
	return err
}

// BackupDirectory makes a backup of a store that no conch runs on. All files are copied: the next start may change one of them in place.
func BackupDirectory(ctx context.Context, o Options, path string, progress func(backup.Progress)) (r backup.Result, damages []log.Damage, err error) {
	files, err := log.OpenOverlay(o.Dir) // else the lock would make a directory
	if err != nil {
		return r, nil, (&Store{options: o}).openError(err)
	}
	_ = files.Close() // it was read only
	lock, err := log.LockDirectory(o.Dir)
	if err != nil {
		if errors.Is(err, log.ErrInUse) {
			return r, nil, fmt.Errorf("a conch runs on %s: it makes the backup itself, by conch log backup %s, with --url", o.Dir, path)
		}
		return r, nil, (&Store{options: o}).openError(err)
	}
	defer func() { _ = lock.Close() }() // nothing was written
	s, err := OpenReadOnly(o)
	if err != nil {
		return r, nil, err
	}
	m := backup.Manifest{Conch: o.Version, Taken: time.Now(), Record: s.recovery.Last, Sequence: s.sequence}
	id, damages := s.log.ID(), s.recovery.Damages
	if err := s.Close(0); err != nil {
		return r, damages, err
	}
	folder, err := backup.Begin(path, backup.Options{Dir: o.Dir, Store: id})
	if err != nil {
		return r, damages, err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	names, err := folder.Names()
	if err != nil {
		return r, damages, err
	}
	for _, name := range names {
		if isPart(name) {
			if err := folder.Take(name, false); err != nil {
				return r, damages, err
			}
		}
	}
	r, err = folder.Finish(ctx, m, progress)
	return r, damages, err
}

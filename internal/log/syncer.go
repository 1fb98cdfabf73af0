package log

import (
	"slices"
	"time"
)

// earlySync is how many bytes a policy with a duration leaves unsynced: they stay in memory.
const earlySync = 16 << 20

// syncer is the state of the goroutine that syncs beside the writer, allocates segments ahead, and seals them. Log.mu guards it.
type syncer struct {
	wake     chan struct{}
	complete []completeSegment // to sync and to seal, oldest first
	target   int64             // what Sync waits for: a number of bytes
	armed    bool              // the timer of the policy runs
	due      bool              // it has ended
	busy     bool
	paused   bool // a cut is under way: it begins nothing
	stop     bool

	wanted   bool // the next segment is to be allocated
	noSpace  bool // there was not even a little space for it, though records wait
	prepared File // the next segment, empty
	id       uint64
}

// completeSegment is a segment to which nothing is added any more.
type completeSegment struct {
	segment *segment
	bytes   int64  // of the log, up to its end
	last    uint64 // the number of its last record
}

func (s *syncer) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// syncDue reports whether the syncer has something to do. The caller holds the lock.
func (l *Log) syncDue() bool {
	s := &l.syncer
	return len(s.complete) > 0 || s.wanted || s.target > l.synced && l.written >= s.target || l.overdue() || l.armable()
}

// overdue reports whether a policy with a duration demands a sync now.
func (l *Log) overdue() bool {
	unsynced := l.written - l.synced
	return l.o.Fsync > 0 && unsynced > 0 && (l.syncer.due || unsynced >= earlySync)
}

func (l *Log) armable() bool {
	return l.o.Fsync > 0 && l.written > l.synced && !l.syncer.armed && !l.syncer.due
}

// runSyncer is a goroutine. It waits for the writer's signals, and for the time of the policy; it does not wake without one.
func (l *Log) runSyncer() {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	var retry <-chan time.Time // of an allocation that found no space
	l.makeReserve()
	for {
		select {
		case <-l.syncer.wake:
		case <-retry:
			retry = nil
		case <-timer.C:
			l.mu.Lock()
			l.syncer.armed, l.syncer.due = false, true
			l.mu.Unlock()
		}
		if retry == nil && !l.findSpace() {
			retry = time.After(retryFull)
		}
		l.syncAll()
		l.mu.Lock()
		if l.armable() && l.progress.Err == nil {
			l.syncer.armed = true
			timer.Reset(time.Duration(l.o.Fsync))
		}
		stop := l.syncer.stop
		l.mu.Unlock()
		if stop {
			return
		}
	}
}

// syncAll syncs and seals what is to be.
func (l *Log) syncAll() {
	for {
		l.mu.Lock()
		l.syncer.busy = false
		l.changed.Broadcast()
		now := l.o.Fsync != Always && (l.overdue() || l.syncer.target > l.synced && l.written >= l.syncer.target)
		if l.progress.Err != nil || l.syncer.paused || len(l.syncer.complete) == 0 && !now {
			l.mu.Unlock()
			return
		}
		l.syncer.busy = true
		complete, last := slices.Clone(l.syncer.complete), completeSegment{l.writer.segment, l.written, l.progress.Written}
		if now {
			l.syncer.due = false
		}
		l.mu.Unlock()
		if err := l.syncSegments(complete, last, now); err != nil {
			l.fail(err)
			continue
		}
		l.mu.Lock()
		l.syncer.complete = slices.Delete(l.syncer.complete, 0, len(complete))
		l.mu.Unlock()
	}
}

// syncSegments syncs and seals segments, and syncs the last one if that is due now. Under Always all is synced already.
func (l *Log) syncSegments(complete []completeSegment, last completeSegment, now bool) error {
	for _, c := range complete {
		if l.o.Fsync != Always {
			if err := c.segment.file().Sync(); err != nil {
				return err
			}
			l.report(func() { l.setSynced(c.bytes, c.last) })
		}
		if err := l.seal(c.segment, false); err != nil && !isFull(err) {
			return err
		}
	}
	if now {
		if err := last.segment.file().Sync(); err != nil {
			return err
		}
		l.report(func() { l.setSynced(last.bytes, last.last) })
	}
	return nil
}

// wantPrepared lets the syncer allocate the next segment. The caller holds the lock.
func (l *Log) wantPrepared() {
	if s := &l.syncer; s.prepared == nil && !s.wanted {
		s.wanted = true
		s.signal()
	}
}

// findSpace allocates the next segment, if that is due, and has appends accepted again if they are refused and there is space. It returns
// false if there is none, to be called again.
func (l *Log) findSpace() bool {
	if !l.prepareSegment() {
		return false
	}
	l.mu.Lock()
	stuck := l.writer.stuck
	l.mu.Unlock()
	return !stuck && l.regain()
}

// prepareSegment allocates the segment behind the writer's, if that is due. It returns false if there is no space.
func (l *Log) prepareSegment() bool {
	l.mu.Lock()
	wanted, id := l.syncer.wanted && !l.syncer.paused, uint64(1)
	if s := l.writer.segment; s != nil {
		id = s.id + 1
	}
	l.mu.Unlock()
	if !wanted || l.Failed() != nil {
		return true
	}
	f, err := l.createSegment(id, l.o.SegmentSize)
	if isFull(err) {
		f, err = l.createWithoutSpace(id)
	}
	switch {
	case err == nil:
		l.regain()
	case isFull(err):
		return false
	default:
		l.fail(err)
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.syncer.wanted, l.syncer.noSpace, l.syncer.prepared, l.syncer.id = false, false, f, id
	l.changed.Broadcast()
	return true
}

func (l *Log) createSegment(id uint64, size int64) (File, error) {
	f, err := l.files.Create(segmentName(id), size)
	if err != nil {
		return nil, err
	}
	if err := l.files.SyncDir(); err != nil { // else what is synced in it could be gone with its name
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// createWithoutSpace refuses appends. If records wait for the segment, it gives up the reserve for them, and lets the segment begin small:
// all that was accepted must reach the disk, so that what it deletes gives space back.
func (l *Log) createWithoutSpace(id uint64) (f File, err error) {
	l.refuse()
	l.mu.Lock()
	awaited := l.writer.awaits
	l.changed.Broadcast()
	l.mu.Unlock()
	if !awaited {
		return nil, ErrFull
	}
	err = ErrFull
	if l.giveReserve(forRecords) {
		f, err = l.createSegment(id, l.o.SegmentSize)
	}
	if isFull(err) {
		f, err = l.createSegment(id, min(spareSize, l.o.SegmentSize))
	}
	if isFull(err) {
		l.mu.Lock()
		l.syncer.noSpace = true
		l.changed.Broadcast()
		l.mu.Unlock()
	}
	return f, err
}

// takePrepared makes s, with the file that is allocated for it, the segment of the writer. It waits if that is not there yet. Both
// change under one lock: what is allocated next is for the segment behind that of the writer.
func (l *Log) takePrepared(s *segment) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writer.awaits = true
	defer func() { l.writer.awaits = false }()
	waited := false
	for l.syncer.prepared == nil {
		if l.progress.Err != nil {
			return l.progress.Err
		}
		if l.closing && l.syncer.noSpace {
			return ErrFull
		}
		waited = waited || l.syncer.noSpace
		l.wantPrepared()
		l.changed.Wait()
	}
	if waited {
		l.Dead() // what could not be synced can be now
	}
	if l.syncer.id != s.id {
		panic("log: another segment was allocated")
	}
	f := l.syncer.prepared
	s.opened.Store(&f)
	l.writer.segment, l.syncer.prepared = s, nil
	return nil
}

// Sync returns once all that is appended by now is on the disk, whatever the policy is. It waits for space, too.
func (l *Log) Sync() error { return l.sync(true) }

// WaitPromised returns once a record that was appended is as safe as the policy demands.
func (l *Log) WaitPromised(number uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.progress.Promised < number && l.progress.Err == nil {
		l.changed.Wait()
	}
	return l.progress.Err
}

// SyncWithSpace is Sync that returns ErrFull instead of waiting for space. It is for those that hold space, or that must end.
func (l *Log) SyncWithSpace() error { return l.sync(false) }

func (l *Log) sync(awaitsSpace bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	target := l.appended
	l.syncer.target = max(l.syncer.target, target)
	l.syncer.signal()
	if l.gathering {
		l.wakeWriter()
	}
	for l.synced < target && l.progress.Err == nil {
		if !awaitsSpace && (l.writer.stuck || l.syncer.noSpace) {
			return ErrFull
		}
		l.changed.Wait()
	}
	return l.progress.Err
}

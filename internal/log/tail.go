package log

import (
	"fmt"
	"slices"
)

// CutHead lets opening need no record before number: a checkpoint that is durable has what they did. It is durable once CutHead returns. From
// then on such records are kept only as far as entries in them are in use. It waits for the disk.
func (l *Log) CutHead(number uint64) error {
	if number > l.Last()+1 {
		return fmt.Errorf("log: the head cannot be cut at %d: record %d is the last", number, l.Last())
	}
	if err := l.SyncWithSpace(); err != nil {
		return err
	}
	if err := l.storeHead(number); err != nil {
		return err
	}
	l.Dead() // what lies before it may be written again
	return nil
}

// DropHead is CutHead for a log without a rewriter: it removes the segments that have nothing else.
func (l *Log) DropHead(number uint64) error {
	if err := l.CutHead(number); err != nil {
		return err
	}
	l.rewriting.Lock() // Reset waits meanwhile
	defer l.rewriting.Unlock()
	v := l.retainView()
	defer v.release()
	before, _ := l.removable(v)
	for _, c := range before {
		if err := l.removeDead(c.segment); err != nil {
			return err
		}
	}
	return nil
}

// storeHead makes the number of the first record that opening needs durable.
func (l *Log) storeHead(number uint64) error {
	return l.changeMeta(func(m *meta) { m.head = max(m.head, number) })
}

// CutTail removes the records from number on. It is durable once CutTail returns. Nothing is appended meanwhile. It waits for the disk.
func (l *Log) CutTail(number uint64) error {
	defer l.awaitRewriting()() // no segment before the cut goes meanwhile
	return l.onWriter(func() error {
		l.mu.Lock()
		next, head := l.next, l.meta.head
		l.mu.Unlock()
		switch {
		case number >= next:
			return nil
		case number < head:
			return fmt.Errorf("log: the tail from %d on cannot be cut: the log begins at %d", number, head)
		}
		return l.withoutSyncer(func() error { return l.cutTail(number) })
	})
}

// Reset removes all records; the next one has that number, which is behind all that were appended. It is durable once Reset returns. Nothing is
// appended meanwhile. A crash leaves the old log, or an empty one that begins there.
func (l *Log) Reset(number uint64) error {
	defer l.awaitRewriting()()
	if err := l.onWriter(func() error {
		return l.withoutSyncer(func() error { return l.beginAt(number) })
	}); err != nil {
		return err
	}
	if err := l.storeHead(number); err != nil {
		return err
	}
	return l.onWriter(func() error {
		return l.withoutSyncer(func() error { return l.removeBefore(number) })
	})
}

// awaitRewriting lets the rewriter come to an end, and keeps it from beginning again until what it returns is called.
func (l *Log) awaitRewriting() (end func()) {
	l.rewriter.hurries.Add(1)
	l.rewriting.Lock()
	l.rewriter.hurries.Add(-1)
	return l.rewriting.Unlock
}

// beginAt begins a segment for a number that does not follow.
func (l *Log) beginAt(number uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number < l.next || number > maxNumber {
		return fmt.Errorf("log: a reset to %d, and %d was appended already", number, l.next-1)
	}
	l.next, l.marked = number, number-1
	l.setProgress(number - 1)
	s := l.beginSegment()
	s.head = number // else the numbers that are left out would be missed
	l.addChunk(s, segmentHeaderSize)
	l.wakeWriter()
	return nil
}

// removeBefore removes the segments before the one that begins with a number.
func (l *Log) removeBefore(number uint64) error {
	l.mu.Lock()
	segments := l.view.segments
	l.mu.Unlock()
	n := slices.IndexFunc(segments, func(s *segment) bool { return s.first == number && s.last < number })
	if n <= 0 {
		return nil
	}
	l.replace(segments[:n], nil)
	for _, s := range segments[:n] {
		if err := l.files.Remove(s.name()); err != nil {
			return l.failed(err)
		}
	}
	return nil // after a crash they may be back: they are before the head
}

// cutTail runs on the writer, with all written, and without the syncer.
func (l *Log) cutTail(number uint64) error {
	l.mu.Lock()
	l.cut = true
	l.mu.Unlock()
	segments := l.view.segments // the writer and the appender alone add to them, and the rewriter stays before the head
	n := len(segments)
	for n > 1 && segments[n-1].first > number {
		n--
	}
	if err := l.removeSegments(n); err != nil {
		return l.failed(err)
	}
	s := segments[n-1]
	end, err := l.shorten(s, number)
	if err != nil {
		return l.failed(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.end, s.last, s.sealed = end, number-1, false
	l.writer.segment = s
	l.restart(number)
	return nil
}

// shorten cuts the records from number on off a segment, and makes its index again. It returns the offset of its new end.
func (l *Log) shorten(s *segment, number uint64) (int64, error) {
	l.mu.Lock()
	end := s.end
	l.mu.Unlock()
	index := l.newIndex()
	rd := newReader(s.file(), s.salt, segmentHeaderSize, end)
	for rd.at < end {
		at := rd.at
		r, err := rd.next()
		if err != nil {
			return 0, err
		}
		if r.Number >= number && !own(r.Kind) {
			end = at
			break
		}
		if index != nil {
			index.add(at, r)
		}
	}
	l.mu.Lock()
	s.index = index
	l.mu.Unlock()
	if err := s.file().Truncate(end); err != nil {
		return 0, err
	}
	if err := s.file().Sync(); err != nil {
		return 0, err
	}
	if err := s.file().Allocate(l.o.SegmentSize); err != nil && !isFull(err) {
		return 0, err
	}
	return end, nil
}

// removeSegments removes the segments from the n-th on, newest first, so that a crash leaves no hole. What was allocated ahead goes, too.
func (l *Log) removeSegments(n int) error {
	l.mu.Lock()
	prepared, id := l.syncer.prepared, l.syncer.id
	l.syncer.prepared = nil
	segments := l.view.segments
	l.mu.Unlock()
	if prepared != nil {
		if err := prepared.Close(); err != nil {
			return err
		}
		if err := l.files.Remove(segmentName(id)); err != nil {
			return err
		}
	}
	for i := len(segments) - 1; i >= n; i-- {
		if segments[i].file() == nil {
			continue // nothing of it was written
		}
		if err := l.files.Remove(segments[i].name()); err != nil {
			return err
		}
		if err := l.files.SyncDir(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	unused := l.truncateView(n)
	l.mu.Unlock()
	l.closeSegments(unused)
	return nil
}

// restart begins again behind a cut: all that is left is on the disk. The caller holds the lock.
func (l *Log) restart(next uint64) {
	for _, c := range l.chunks {
		l.recent -= int64(cap(c.buf))
		c.release()
	}
	l.chunks = nil
	l.next, l.marked = next, next-1
	l.written, l.synced = l.appended, l.appended
	l.unsynced.Store(0)
	l.setProgress(next - 1)
	l.syncer.due = false
	l.changed.Broadcast()
}

// setProgress lets the progress be up to a number. The caller holds the lock.
func (l *Log) setProgress(number uint64) {
	l.progress.Written, l.progress.Synced, l.progress.Promised = number, number, number
}

// withoutSyncer runs f on the writer once the syncer has done all it has to do, and lets it begin nothing meanwhile. A sync that began before a
// cut, and ended behind it, would report records that are gone as synced, and so those that take their numbers.
func (l *Log) withoutSyncer(f func() error) error {
	l.mu.Lock()
	s := &l.syncer
	s.signal()
	for l.progress.Err == nil && (s.busy || s.wanted || len(s.complete) > 0) {
		l.changed.Wait()
	}
	err := l.progress.Err
	s.paused = true
	l.mu.Unlock()
	if err == nil {
		err = f()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.paused = false
	s.signal()
	return err
}

// failed makes the failure of a cut final: the files are no longer what memory has.
func (l *Log) failed(err error) error {
	l.fail(err)
	return err
}

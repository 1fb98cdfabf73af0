package log

import (
	"errors"
	"fmt"
)

// CutHead lets opening need no record before number: a checkpoint has what they did. It is durable once CutHead returns. From then on
// such records are kept only as far as entries in them are in use. It waits for the disk.
func (l *Log) CutHead(number uint64) error {
	l.mu.Lock()
	if number <= l.newHead || number > l.next {
		l.mu.Unlock()
		return nil
	}
	if l.closing || l.progress.Err != nil {
		l.mu.Unlock()
		return errors.Join(ErrClosed, l.Failed())
	}
	l.newHead = number
	l.appendHead()
	l.mu.Unlock()
	if err := l.Sync(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = max(l.head, number)
	return nil
}

// CutTail removes the records from number on. It is durable once CutTail returns. Nothing is appended meanwhile. It waits for the disk.
func (l *Log) CutTail(number uint64) error {
	err := l.onWriter(func() error {
		l.mu.Lock()
		next, head := l.next, l.newHead
		l.mu.Unlock()
		switch {
		case number >= next:
			return nil
		case number < head:
			return fmt.Errorf("log: the tail from %d on cannot be cut: the log begins at %d", number, head)
		}
		return l.cutTail(number)
	})
	if err != nil {
		return err
	}
	return l.Sync()
}

// Reset removes all records; the next one has that number. It is durable once Reset returns. Nothing is appended meanwhile.
func (l *Log) Reset(number uint64) error {
	err := l.onWriter(func() error {
		if err := l.stopSyncer(); err != nil {
			return err
		}
		if err := l.removeSegments(0); err != nil {
			return l.failed(err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.writer.segment = nil
		l.newHead, l.head = number, number
		l.restart(number)
		l.appendHead()
		return nil
	})
	if err != nil {
		return err
	}
	return l.Sync()
}

// cutTail runs on the writer, with all written.
func (l *Log) cutTail(number uint64) error {
	if err := l.stopSyncer(); err != nil {
		return err
	}
	segments := l.view.segments // the writer and the appender alone add to them, and the rewriter stays before the head
	n := len(segments)
	for n > 1 && segments[n-1].first >= number {
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
	l.appendHead() // it may have been in the tail
	return nil
}

// appendHead appends the number of the first record that opening needs. The caller holds the lock.
func (l *Log) appendHead() {
	l.append(Record{Number: l.next, Kind: kindHead, Payload: encodeNumber(l.newHead)})
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
	closeSegments(unused)
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
	l.progress = Progress{Written: next - 1, Synced: next - 1, Promised: next - 1}
	l.syncer.due = false
	l.changed.Broadcast()
}

// stopSyncer waits until the syncer has nothing to do.
func (l *Log) stopSyncer() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.progress.Err == nil && (l.syncer.busy || l.syncer.wanted || len(l.syncer.complete) > 0) {
		l.syncer.signal()
		l.changed.Wait()
	}
	return l.progress.Err
}

// failed makes the failure of a cut final: the files are no longer what memory has.
func (l *Log) failed(err error) error {
	l.fail(err)
	return err
}

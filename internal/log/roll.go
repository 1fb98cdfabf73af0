package log

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Roll begins a new segment, unless nothing was appended to the last one: all records so far are in segments that will be sealed, and then
// never change in place. It returns the number of the last of these records, and the id of their last segment, 0 if there is none. The core
// calls it; it never waits.
func (l *Log) Roll() (last, segment uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing || l.progress.Err != nil {
		return 0, 0, cmp.Or(l.progress.Err, ErrClosed)
	}
	n := len(l.view.segments)
	if n > 0 {
		if s := l.view.segments[n-1]; !s.sealed && s.last >= s.first {
			l.addChunk(l.beginSegment(), segmentHeaderSize)
			l.wakeWriter()
			n++
		}
	}
	for i := n - 1; i >= 0 && segment == 0; i-- {
		if s := l.view.segments[i]; s.sealed || i < n-1 {
			segment = s.id
		}
	}
	return l.next - 1, segment, nil
}

// ReadyToRoll waits until the file of the next segment is allocated, so that Roll makes no append wait for space. ErrFull means that there
// is none.
func (l *Log) ReadyToRoll(ctx context.Context) error {
	return l.waitFor(ctx, func() (bool, error) {
		if l.syncer.prepared == nil {
			if l.full.Load() {
				return false, ErrFull
			}
			l.wantPrepared()
		}
		return l.syncer.prepared != nil, nil
	})
}

// WaitSealed waits until the segments up to that id are sealed and synced. ErrFull means that there was no space for an index.
func (l *Log) WaitSealed(ctx context.Context, id uint64) error {
	return l.waitFor(ctx, func() (bool, error) {
		isPast := l.writer.segment != nil && l.writer.segment.id > id
		for _, c := range l.syncer.complete {
			isPast = isPast && c.segment.id > id
		}
		for _, s := range l.view.segments {
			if s.id <= id && !s.sealed {
				if isPast {
					return false, ErrFull
				}
				l.syncer.signal()
				return false, nil
			}
		}
		return true, nil
	})
}

// waitFor waits until isDone, which is called with the lock held.
func (l *Log) waitFor(ctx context.Context, isDone func() (bool, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})()
	for {
		if l.closing || l.progress.Err != nil {
			return cmp.Or(l.progress.Err, ErrClosed)
		}
		if done, err := isDone(); done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		l.changed.Wait()
	}
}

// ID names the log: that of a copy is the same, and no other log has it.
func (l *Log) ID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, l.meta.secret)) // the secret itself makes the salts of records
	return hex.EncodeToString(sum[:8])
}

// MetaName is the file with what the whole directory has in common. It is only ever replaced.
const MetaName = metaName

// SegmentID returns the id of a segment with that file name.
func SegmentID(name string) (id uint64, ok bool) { return parseSegmentName(name) }

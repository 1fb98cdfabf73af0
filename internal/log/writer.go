package log

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"
)

const (
	// maxGroup bounds what is written before a sync under Always, so that the first records of a group do not wait for all.
	maxGroup = 8 << 20
	// maxCopy is up to which length a piece is copied to set a bit in it. A longer one takes two calls instead.
	maxCopy = 64 << 10
	// retryFull is how long a write waits that found no space.
	retryFull = time.Second
	// gatherBytes is how much is written without waiting for more.
	gatherBytes = 256 << 10
)

// writer is the state of the goroutine that writes.
type writer struct {
	segment *segment // the one that it writes; Log.mu guards the pointer
	buf     []byte
	// stuck: it waits for space to write, awaits: for a segment. Log.mu guards them.
	stuck, awaits bool
}

// piece is a part of a chunk that is to be written: whole records, and the header of a segment before them.
type piece struct {
	segment *segment
	at      int64  // its offset in the segment
	bytes   []byte // they do not change
	last    uint64 // the number of its last record
	synced  bool   // all before it was synced
}

// runWriter writes what is appended until the log is closed. It is a goroutine.
func (l *Log) runWriter() {
	for l.waitForWork() {
		if err := l.writeGroup(); err != nil {
			l.fail(err)
		}
	}
}

// waitForWork waits until something is to be written, and runs the tasks that need all to be written. It returns false once the log is
// closed.
func (l *Log) waitForWork() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for gathered := l.o.Gather == 0; ; {
		waits := l.progress.Err == nil && l.written < l.appended
		switch task := l.task; {
		case waits && (gathered || task != nil || l.syncer.target > l.written):
			return true
		case task != nil:
			l.mu.Unlock()
			task()
			l.mu.Lock()
			l.task = nil
			l.changed.Broadcast()
			continue
		case l.stopping:
			return false
		}
		if l.idle = true; waits {
			l.gather()
			gathered = true
			continue
		}
		l.mu.Unlock()
		<-l.wake
		l.mu.Lock()
	}
}

// gather waits for more to write. The caller holds the lock.
func (l *Log) gather() {
	l.gathering = true
	l.mu.Unlock()
	timer := time.NewTimer(l.o.Gather)
	defer timer.Stop()
	select {
	case <-l.wake:
		l.mu.Lock()
	case <-timer.C:
		l.mu.Lock()
		if !l.idle { // it was woken at the same time
			<-l.wake
		}
		l.idle = false
	}
	l.gathering = false
}

// wakeWriter ends the writer's wait. The caller holds the lock.
func (l *Log) wakeWriter() {
	if l.idle {
		l.idle = false
		l.wake <- struct{}{} // it has room: the writer took the last one before it became idle
	}
}

// onWriter runs f on the writer's goroutine, with all written and nothing appended meanwhile.
func (l *Log) onWriter(f func() error) error {
	done := make(chan error, 1)
	l.mu.Lock()
	for l.task != nil {
		l.changed.Wait()
	}
	if l.closing || l.progress.Err != nil {
		defer l.mu.Unlock()
		return cmp.Or(l.progress.Err, ErrClosed)
	}
	l.task = func() { done <- f() }
	l.wakeWriter()
	l.mu.Unlock()
	return <-done
}

// writeGroup writes all that is appended by now, up to a bound, syncs it if the policy is Always, and reports it.
func (l *Log) writeGroup() error {
	for size := int64(0); size < maxGroup; {
		p, ok := l.nextPiece()
		if !ok {
			break
		}
		if err := l.writePiece(p); err != nil {
			return err
		}
		size += int64(len(p.bytes))
	}
	if l.o.Fsync == Always {
		if err := l.writer.segment.file().Sync(); err != nil {
			return err
		}
	}
	l.report(func() {
		l.stats.Groups++
		if l.o.Fsync == Always {
			l.setSynced(l.written, l.progress.Written)
		}
	})
	l.pool.prepare()
	return nil
}

// nextPiece returns what follows the last byte written, as far as it is one piece.
func (l *Log) nextPiece() (p piece, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written == l.appended {
		return p, false
	}
	i := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].behind > l.written })
	c := l.chunks[i]
	from := len(c.buf) - int(c.behind-l.written)
	return piece{c.segment, c.at + int64(from), c.buf[from:], c.last, l.synced == l.written}, true
}

// writePiece writes a piece to the file of its segment, which it begins if need be.
func (l *Log) writePiece(p piece) error {
	if p.segment != l.writer.segment {
		if err := l.turn(p.segment); err != nil {
			return err
		}
		p.synced = p.synced || l.o.Fsync == Always // turn has synced the segment before
	}
	l.addToIndex(p)
	if err := l.writeBytes(p); err != nil {
		return fmt.Errorf("write %s: %w", p.segment.name(), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Writes++
	if l.progress.Err != nil {
		return l.progress.Err
	}
	l.written += int64(len(p.bytes))
	l.progress.Written = p.last
	if l.o.Fsync != Always {
		l.progress.Promised = p.last
	}
	l.unsynced.Store(l.appended - l.promised())
	if p.at+int64(len(p.bytes)) > l.o.SegmentSize/2 {
		l.wantPrepared()
	}
	if l.syncDue() {
		l.syncer.signal()
	}
	return nil
}

// addToIndex adds the records of a piece to the index of its segment.
func (l *Log) addToIndex(p piece) {
	if p.segment.index == nil {
		return
	}
	b, at := p.bytes, p.at
	if at == 0 {
		b, at = b[segmentHeaderSize:], segmentHeaderSize
	}
	for len(b) > 0 {
		r, length, _ := parseHeader(b, p.segment.salt)
		size := headerSize + length
		r.Payload = b[headerSize:size]
		p.segment.index.add(at, r)
		b, at = b[size:], at+int64(size)
	}
}

// writeBytes writes the bytes of a piece, with the bit behindSync in its first record if that is due, and with the sum of a large payload.
// The chunk itself never changes, because others read it.
func (l *Log) writeBytes(p piece) error {
	b, at := p.bytes, p.at
	first := 0
	if at == 0 {
		first = segmentHeaderSize
	}
	large := len(b) > first+chunkSize
	if (p.synced || large) && len(b) > first {
		end := first + headerSize
		if len(b) <= maxCopy {
			end = len(b)
		}
		l.writer.buf = append(l.writer.buf[:0], b[:end]...)
		header := l.writer.buf[first:]
		if p.synced {
			header[12] |= behindSync
		}
		if large {
			binary.LittleEndian.PutUint32(header[4:], checksum(b[end:]))
		}
		sumHeader(header, p.segment.salt)
		if err := l.writeOut(p.segment.file(), l.writer.buf, at); err != nil {
			return err
		}
		b, at = b[end:], at+int64(end)
	}
	return l.writeOut(p.segment.file(), b, at)
}

// writeOut writes b, and tries again while there is no space: what is appended waits in memory meanwhile.
func (l *Log) writeOut(f File, b []byte, at int64) error {
	for waited := false; ; waited = true {
		n, err := writeAll(f, b, at)
		b, at = b[n:], at+int64(n)
		switch {
		case err == nil:
			if waited {
				l.setStuck(false)
				l.regain()
				l.Dead() // deletions that could not be synced can be now
			}
			return nil
		case !isFull(err):
			return err
		}
		l.setStuck(true)
		given := l.giveReserve(forRecords)
		l.syncer.signal() // it looks for space from now on
		if !given && !l.waitForSpace() {
			return err
		}
	}
}

// setStuck notes whether the writer waits for space.
func (l *Log) setStuck(stuck bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writer.stuck = stuck
	l.changed.Broadcast()
}

// waitForSpace waits a while. It returns false once the log is to be closed.
func (l *Log) waitForSpace() bool {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	timer := time.NewTimer(retryFull)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-closed:
		return false
	}
}

// turn begins the file of the next segment. Under Always the one before is synced, so that all that is written before is.
func (l *Log) turn(s *segment) error {
	if old := l.writer.segment; old != nil && !old.sealed {
		if l.o.Fsync == Always {
			if err := old.file().Sync(); err != nil {
				return err
			}
		}
		l.mu.Lock()
		l.syncer.complete = append(l.syncer.complete, completeSegment{old, l.written, l.progress.Written})
		if l.o.Fsync == Always {
			l.setSynced(l.written, l.progress.Written)
		}
		l.mu.Unlock()
	}
	return l.takePrepared(s)
}

// setSynced records that the disk has all up to a byte, and to the record of that number. The caller holds the lock.
func (l *Log) setSynced(bytes int64, number uint64) {
	l.stats.Syncs++
	if bytes < l.synced || l.progress.Err != nil { // a failure is final, also for what was under way
		return
	}
	l.synced = bytes
	l.progress.Synced = number
	if l.o.Fsync == Always {
		l.progress.Promised = number
	}
	l.unsynced.Store(l.appended - l.promised())
}

// report changes the state under the lock, and passes the progress on.
func (l *Log) report(change func()) {
	l.reporting.Lock()
	defer l.reporting.Unlock()
	l.mu.Lock()
	change()
	l.evictChunks()
	progress := l.progress
	l.changed.Broadcast()
	l.mu.Unlock()
	l.o.Progress(progress)
}

// evictChunks drops the oldest chunks beyond the bound, of those that are promised. The caller holds the lock.
func (l *Log) evictChunks() {
	n, promised := 0, l.promised()
	for ; n < len(l.chunks)-1 && l.recent > l.o.Recent && l.chunks[n].behind <= promised; n++ {
		l.recent -= int64(cap(l.chunks[n].buf))
		l.chunks[n].release()
	}
	l.chunks = slices.Delete(l.chunks, 0, n)
}

// fail makes a failure final. Only the first one counts.
func (l *Log) fail(err error) {
	if isFull(err) {
		err = errors.Join(ErrFull, err)
	}
	if !l.failure.CompareAndSwap(nil, &err) {
		return
	}
	l.report(func() { l.progress.Err = err })
}

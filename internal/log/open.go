package log

import (
	"cmp"
	"errors"
	"sync"
)

// Open reads what a directory has, and passes the records behind number after to apply, in order. Their payloads are valid during the
// call. The log owns o.Files from then on, also if Open fails.
func Open(o Options, after uint64, apply func(Record) error) (*Log, Recovery, error) {
	o.setDefaults()
	l := &Log{
		o: o, files: newHandles(o.Files), pool: newChunkPool(), wake: make(chan struct{}, 1), closed: make(chan struct{}),
		metaWrites: newDiskLock(), rewriting: newDiskLock(),
		syncer: syncer{wake: make(chan struct{}, 1)}, rewriter: newRewriter(o.CompactRate),
		indexes: segmentCache[*part]{bound: maxIndexes}, orders: segmentCache[*recordOrder]{bound: maxOrders},
	}
	l.changed = sync.NewCond(&l.mu)
	err := l.recover(after, apply)
	if err == nil {
		err = l.allocate()
	}
	if err != nil {
		return nil, l.recovered, errors.Join(err, l.closeFiles())
	}
	l.goroutine.Go(l.runWriter)
	l.goroutine.Go(l.runSyncer)
	if o.Live != nil && o.Keep != nil && o.Spans != nil {
		l.goroutine.Go(l.runRewriter)
	}
	return l, l.recovered, nil
}

// allocate makes space for what is written first. A disk that is full lets the log open all the same if there is something to read.
func (l *Log) allocate() error {
	if s := l.writer.segment; s != nil && !s.sealed {
		if err := s.file().Allocate(l.o.SegmentSize); err != nil && !isFull(err) {
			return err
		}
		return nil
	}
	l.syncer.wanted = true
	if !l.prepareSegment() && len(l.view.segments) == 0 {
		return ErrFull
	}
	return l.Failed()
}

// Close writes and syncs what is appended, with a last record that proves it, and ends all goroutines. It closes the files, too.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closing = true
	close(l.closed)
	l.changed.Broadcast() // a write that waits for space ends
	l.mu.Unlock()

	err := cmp.Or(l.Failed(), l.Sync()) // the last record proves that all before it was synced
	if err == nil && !l.unchanged() {
		l.mu.Lock()
		l.append(Record{Number: l.next, Kind: kindStop})
		l.mu.Unlock()
		err = l.Sync()
	}
	l.mu.Lock()
	l.stopping = true
	l.wakeWriter()
	l.syncer.stop = true
	l.mu.Unlock()
	l.syncer.signal()
	l.goroutine.Wait()
	if err = cmp.Or(err, l.Failed()); err == nil {
		err = l.sealLast()
	}
	return errors.Join(err, l.closeFiles())
}

// sealLast gives back what was allocated ahead, and writes the index of the last segment: the next start goes through neither zeros nor
// records. The goroutines have ended.
func (l *Log) sealLast() error {
	if f := l.syncer.prepared; f != nil {
		l.syncer.prepared = nil
		if err := errors.Join(f.Close(), l.files.Remove(segmentName(l.syncer.id))); err != nil {
			return err
		}
	}
	l.dropReserve()
	n := len(l.view.segments)
	if n == 0 || l.view.segments[n-1].sealed {
		return nil
	}
	s := l.view.segments[n-1]
	err := l.seal(s, true)
	if isFull(err) {
		err = s.file().Truncate(s.end)
	}
	if err != nil {
		return err
	}
	return s.file().Sync()
}

// unchanged reports whether the log is as a clean stop has left it.
func (l *Log) unchanged() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recovered.Clean && l.appended == 0 && !l.cut && len(l.view.segments) > 0
}

// closeFiles closes all that is open.
func (l *Log) closeFiles() error {
	var errs []error
	if l.view != nil {
		for _, s := range l.view.segments {
			if f := s.file(); f != nil {
				errs = append(errs, f.Close())
			}
		}
	}
	if f := l.syncer.prepared; f != nil {
		errs = append(errs, f.Close())
	}
	return errors.Join(append(errs, l.files.Close())...)
}

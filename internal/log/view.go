package log

import "slices"

// view is the list of segments at one instant. It does not change.
//
// Views are a chain: each holds the next one, so that one that nothing holds has no older one in use. What a view has and the
// next has not is closed then.
type view struct {
	segments []*segment // in the order of their numbers
	log      *Log

	// Log.mu guards what follows.
	refs    int
	next    *view
	retired []*segment
}

// retain returns the present list. The caller releases it. The core may call it.
func (l *Log) retainView() *view {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.view.refs++
	return l.view
}

// release ends the use of a list, and closes the files that no list has any more.
func (v *view) release() {
	l := v.log
	l.mu.Lock()
	retired := v.releaseLocked()
	l.mu.Unlock()
	l.closeSegments(retired)
}

// releaseLocked drops one reference, and returns the segments that are no longer in use.
func (v *view) releaseLocked() (retired []*segment) {
	for v != nil {
		v.refs--
		if v.refs > 0 {
			break
		}
		retired = append(retired, v.retired...)
		v = v.next
	}
	return retired
}

// closeSegments ends the use of segments that no list has any more.
func (l *Log) closeSegments(retired []*segment) {
	for _, s := range retired {
		l.indexes.drop(s)
		l.orders.drop(s)
		if f := s.file(); f != nil {
			_ = f.Close() // it was read only, or is removed
		}
	}
}

// setView makes a new list the present one. The caller holds the lock, and closes what it returns once it does not.
func (l *Log) setView(segments, retired []*segment) (unused []*segment) {
	v := &view{segments: segments, log: l, refs: 1}
	old := l.view
	l.view = v
	if old == nil {
		return nil
	}
	v.refs++ // the older one's
	old.next, old.retired = v, retired
	return old.releaseLocked()
}

// addSegment makes s the last segment. The caller holds the lock.
func (l *Log) addSegment(s *segment) {
	// Older lists are shorter, so they may share the memory. Two lists never grow from the same one.
	l.setView(append(l.view.segments, s), nil)
}

// replace puts by in the place of neighbors, or nothing. Their names are the caller's business; their files are closed once no reader
// has them.
func (l *Log) replace(old []*segment, by *segment) {
	l.mu.Lock()
	present := l.view.segments
	at := slices.Index(present, old[0])
	segments := append(make([]*segment, 0, len(present)+1), present[:at]...)
	if by != nil {
		segments = append(segments, by)
	}
	segments = append(segments, present[at+len(old):]...)
	unused := l.setView(segments, slices.Clone(old))
	l.mu.Unlock()
	l.closeSegments(unused)
}

// truncateView drops the segments from the n-th on. The caller holds the lock, and closes what it returns.
func (l *Log) truncateView(n int) (unused []*segment) {
	present := l.view.segments
	return l.setView(slices.Clip(slices.Clone(present[:n])), slices.Clone(present[n:]))
}

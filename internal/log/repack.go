package log

import "errors"

// repackBuffer is how much is copied at once.
const repackBuffer = 256 << 10

// repack writes segments again whose bytes are to be stored otherwise: those with another key than new files, and those whose frames take much
// more space than full ones. The content is copied as it is, damage included: what is above sees no difference. Segments before the head alone are
// taken, as by the rewriter, on whose goroutine it runs.
func (l *Log) repack() error {
	h, ok := l.files.(*handles)
	if !ok {
		return nil
	}
	layers, ok := h.Files.(*Layered)
	if !ok || l.Failed() != nil {
		return nil
	}
	l.rewriting.Lock()
	defer l.rewriting.Unlock()
	v := l.retainView()
	defer v.release()
	all, _ := l.candidates(v)
	for _, c := range all {
		if !layers.wantsPacking(c.name()) {
			continue
		}
		if err := l.repackSegment(c.segment); err != nil || l.isClosing() {
			if errors.Is(err, ErrClosed) {
				err = nil
			}
			return err
		}
	}
	return nil
}

// repackSegment puts a copy in the place of a segment. A crash leaves the one or the other.
func (l *Log) repackSegment(s *segment) error {
	name := s.name()
	file, err := l.files.Create(name+temporary, 0)
	if err != nil {
		return err
	}
	size, err := l.copyContent(file, s.file())
	if err == nil {
		err = file.Sync() // else the name could lead to an empty file
	}
	if err == nil {
		err = l.files.Rename(name+temporary, name)
	}
	if err != nil {
		return errors.Join(err, file.Close(), l.files.Remove(name+temporary))
	}
	if err := l.files.SyncDir(); err != nil { // else the old file could be back, and its key be gone
		return err
	}
	l.replace([]*segment{s}, l.repacked(s, file))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Repacked++
	l.stats.RewriteReadBytes += size
	l.stats.RewrittenBytes += size
	return nil
}

// repacked is a segment with another file.
func (l *Log) repacked(s *segment, file File) *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	by := &segment{id: s.id, first: s.first, salt: s.salt, head: s.head, rewritten: s.rewritten, end: s.end, last: s.last, sealed: true}
	by.opened.Store(&file)
	by.passed.Store(s.passed.Load())
	if l.rewriter.damaged[s] {
		l.rewriter.damaged[by] = true
		delete(l.rewriter.damaged, s)
	}
	return by
}

// copyContent copies all of a file, and returns how much that is.
func (l *Log) copyContent(to, from File) (at int64, err error) {
	size, err := from.Size()
	if err != nil {
		return 0, err
	}
	buf := make([]byte, repackBuffer)
	for at < size {
		b := buf[:min(repackBuffer, size-at)]
		if _, err := from.ReadAt(b, at); err != nil {
			return at, err
		}
		if _, err := writeAll(to, b, at); err != nil {
			return at, err
		}
		at += int64(len(b))
		if !l.throttle(2 * int64(len(b))) {
			return at, ErrClosed
		}
	}
	return at, nil
}

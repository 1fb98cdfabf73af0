package log

import "sync"

// spareSize is what is allocated for a segment if there is no space for a whole one, and records wait for it.
const spareSize = 64 << 10

// reserve takes space on the disk while there is some, in two files without content, which mean nothing at a start. Once there is none,
// appends are refused, and this space is for what came before that: one file for the records that wait to be written, and for those that
// delete entries; the other for a checkpoint. Appends go on when both are back.
type reserve struct {
	mu   sync.Mutex // held while the files are made or removed, and while appends are accepted again because of them
	held [2]bool
	made bool // they were there once: a disk that is too small for them is not full because of that
}

// The parts of the reserve.
const (
	forRecords = iota
	forCheckpoints
)

var reserveNames = [2]string{"reserve", "reserve-checkpoint"}

// keepReserve makes what is missing of the reserve. It returns false if there is no space for it. The caller holds its lock.
func (l *Log) keepReserve() bool {
	r := &l.reserve
	if l.o.Reserve <= 0 {
		return true
	}
	for part, size := range [2]int64{l.o.Reserve, l.o.Reserve / 8} {
		if r.held[part] {
			continue
		}
		f, err := l.files.Create(reserveNames[part], size)
		if err == nil {
			err = f.Close()
		}
		if r.held[part] = err == nil; err != nil {
			return !r.made || !isFull(err) // any other error will be that of a segment, too
		}
	}
	r.made = true
	return true
}

// giveReserve refuses appends and removes a part of the reserve. It returns false if it is not there.
func (l *Log) giveReserve(part int) bool {
	r := &l.reserve
	r.mu.Lock()
	defer r.mu.Unlock()
	l.refuse()
	if !r.held[part] {
		return false
	}
	r.held[part] = false
	return l.files.Remove(reserveNames[part]) == nil
}

// refuse refuses appends, and lets the rewriter look: few may have died for it to have done that.
func (l *Log) refuse() {
	if !l.full.Swap(true) {
		l.Dead()
	}
}

// NoSpace refuses appends until there is space again, and gives up the part of the reserve for checkpoints. It returns whether there was
// one: then a checkpoint is to be tried again. It waits for the disk.
func (l *Log) NoSpace() bool {
	given := l.giveReserve(forCheckpoints)
	l.syncer.signal() // it looks for space from now on
	return given
}

// regain lets appends be accepted again once the reserve is back, if there was one. It returns false if it is not.
func (l *Log) regain() bool {
	l.reserve.mu.Lock()
	defer l.reserve.mu.Unlock()
	if !l.full.Load() {
		return true
	}
	if !l.keepReserve() {
		return false
	}
	l.full.Store(false)
	return true
}

// makeReserve makes the reserve at the beginning. A disk without space for it is not full yet.
func (l *Log) makeReserve() {
	l.reserve.mu.Lock()
	defer l.reserve.mu.Unlock()
	if !l.keepReserve() || !l.reserve.made {
		l.dropReserve()
	}
}

// dropReserve removes the reserve. The caller holds its lock, or has ended all goroutines.
func (l *Log) dropReserve() {
	for part, held := range l.reserve.held {
		if l.reserve.held[part] = false; held {
			_ = l.files.Remove(reserveNames[part]) // it means nothing
		}
	}
}

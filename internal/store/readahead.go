package store

import (
	"errors"
	"io"
)

const (
	// aheadSize is how much is read at once, aheadCount how often before the first of it is used.
	aheadSize  = 256 << 10
	aheadCount = 4
)

// readingAhead reads files one behind the other on a goroutine of its own, so that its user computes meanwhile.
type readingAhead struct {
	files  []io.Reader
	free   chan []byte
	filled chan piece    // closed behind the last file, or an error
	ended  chan struct{} // closed by stop

	// The user owns the rest.
	now  piece
	used int // of now
	at   int // the file that now is of
}

// piece is what one call has read of a file. Its error is io.EOF at the end.
type piece struct {
	b   []byte
	err error
}

func readAhead(files []io.Reader) *readingAhead {
	a := &readingAhead{files: files, free: make(chan []byte, aheadCount), filled: make(chan piece, aheadCount), ended: make(chan struct{})}
	for range aheadCount {
		a.free <- make([]byte, aheadSize)
	}
	go a.run()
	return a
}

// run is the goroutine.
func (a *readingAhead) run() {
	defer close(a.filled)
	for _, f := range a.files {
		for err := error(nil); err == nil; {
			var b []byte
			select {
			case b = <-a.free:
			case <-a.ended:
				return
			}
			var n int
			n, err = f.Read(b[:aheadSize])
			a.filled <- piece{b[:n], err} // it has room for all buffers
			if err != nil && !errors.Is(err, io.EOF) {
				return
			}
		}
	}
}

// read reads of the i-th file. What is left of those before it is skipped.
func (a *readingAhead) read(i int, p []byte) (int, error) {
	for a.at < i || a.at == i && a.used == len(a.now.b) {
		switch {
		case a.now.err == nil:
		case !errors.Is(a.now.err, io.EOF), a.at == i:
			return 0, a.now.err
		default:
			a.at++
		}
		a.next()
	}
	if a.at > i {
		return 0, io.EOF
	}
	n := copy(p, a.now.b[a.used:])
	a.used += n
	return n, nil
}

// next takes the next piece, and gives the buffer of the last one back.
func (a *readingAhead) next() {
	if a.now.b != nil {
		a.free <- a.now.b
	}
	a.now, a.used = <-a.filled, 0
}

// stop ends the goroutine, and waits for it.
func (a *readingAhead) stop() {
	close(a.ended)
	for range a.filled { // what is not wanted
	}
}

//go:build soak

package soak

import "sync"

// window keeps publishers from being far ahead of the witness, who would otherwise be too slow on a slow machine. It is
// counted in bytes, about.
type window struct {
	mu     sync.Mutex
	change *sync.Cond
	free   int
	opened bool
}

func newWindow(bytes int) *window {
	w := &window{free: bytes}
	w.change = sync.NewCond(&w.mu)
	return w
}

// take waits for room. A batch that is larger than the window takes what there is.
func (w *window) take(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.free <= 0 && !w.opened {
		w.change.Wait()
	}
	w.free -= n
}

func (w *window) give(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free += n
	w.change.Broadcast()
}

// open lets everybody pass for good.
func (w *window) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened = true
	w.change.Broadcast()
}

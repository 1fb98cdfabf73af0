package client

// waiter waits until so many messages of a pubConn are settled.
type waiter struct {
	until uint64
	ready chan struct{} // capacity 1; sent to with the pubConn's mu held
	index int           // in waiting, or -1
}

// waiters are those of one pubConn, guarded by its mu.
type waiters struct {
	waiting, free []*waiter
}

func (ws *waiters) add(until uint64) *waiter {
	if len(ws.free) == 0 {
		ws.free = append(ws.free, &waiter{ready: make(chan struct{}, 1)})
	}
	w := ws.free[len(ws.free)-1]
	ws.free = ws.free[:len(ws.free)-1]
	w.until, w.index = until, len(ws.waiting)
	ws.waiting = append(ws.waiting, w)
	return w
}

// wake wakes each waiter for at most settled messages.
func (ws *waiters) wake(settled uint64) {
	rest := ws.waiting[:0]
	for _, w := range ws.waiting {
		if w.until <= settled {
			w.index = -1
			w.ready <- struct{}{}
		} else {
			w.index = len(rest)
			rest = append(rest, w)
		}
	}
	clear(ws.waiting[len(rest):])
	ws.waiting = rest
}

// done returns a waiter to the free list, woken or not.
func (ws *waiters) done(w *waiter) {
	if last := len(ws.waiting) - 1; w.index >= 0 {
		ws.waiting[w.index] = ws.waiting[last]
		ws.waiting[w.index].index = w.index
		ws.waiting[last] = nil
		ws.waiting = ws.waiting[:last]
	}
	select {
	case <-w.ready: // woken at the moment its context ended
	default:
	}
	ws.free = append(ws.free, w)
}

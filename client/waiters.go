package client

// waiter waits until so many messages of a lane are settled.
type waiter struct {
	until uint64
	ready chan struct{} // holds one word, sent under the lane's lock
	at    int           // its place among those waiting, or -1
}

// waiters are those of one lane. The lane's lock guards them.
type waiters struct {
	waiting, spare []*waiter
}

func (ws *waiters) add(until uint64) *waiter {
	if len(ws.spare) == 0 {
		ws.spare = append(ws.spare, &waiter{ready: make(chan struct{}, 1)})
	}
	w := ws.spare[len(ws.spare)-1]
	ws.spare = ws.spare[:len(ws.spare)-1]
	w.until, w.at = until, len(ws.waiting)
	ws.waiting = append(ws.waiting, w)
	return w
}

// wake wakes those whose wait is over.
func (ws *waiters) wake(settled uint64) {
	rest := ws.waiting[:0]
	for _, w := range ws.waiting {
		if w.until <= settled {
			w.at = -1
			w.ready <- struct{}{}
		} else {
			w.at = len(rest)
			rest = append(rest, w)
		}
	}
	clear(ws.waiting[len(rest):])
	ws.waiting = rest
}

// done takes back a waiter, whether it was woken or has given up.
func (ws *waiters) done(w *waiter) {
	if last := len(ws.waiting) - 1; w.at >= 0 {
		ws.waiting[w.at] = ws.waiting[last]
		ws.waiting[w.at].at = w.at
		ws.waiting[last] = nil
		ws.waiting = ws.waiting[:last]
	}
	select {
	case <-w.ready: // woken in the moment in which it gave up
	default:
	}
	ws.spare = append(ws.spare, w)
}

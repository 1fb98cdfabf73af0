package client

// queue is the list of calls that are not sent. Each can be removed from any place without a search, because many
// may be canceled at once.
type queue struct{ first, last *pendingCall }

func (q *queue) empty() bool { return q.first == nil }

func (q *queue) push(p *pendingCall) {
	p.queued, p.prev, p.next = true, q.last, nil
	if q.last == nil {
		q.first = p
	} else {
		q.last.next = p
	}
	q.last = p
}

// remove takes a call out and reports whether it was in the queue.
func (q *queue) remove(p *pendingCall) bool {
	if !p.queued {
		return false
	}
	if p.prev == nil {
		q.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		q.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.queued, p.prev, p.next = false, nil, nil
	return true
}

// pop takes out the oldest call. There must be one.
func (q *queue) pop() *pendingCall {
	p := q.first
	q.remove(p)
	return p
}

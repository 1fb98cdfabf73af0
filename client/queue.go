package client

// queue is the calls that are not sent, in order. A call may leave it from any place, and that many do at once, whose
// contexts end together, is no reason to search for each.
type queue struct{ first, last *call }

func (q *queue) empty() bool { return q.first == nil }

func (q *queue) push(c *call) {
	c.queued, c.before, c.behind = true, q.last, nil
	if q.last == nil {
		q.first = c
	} else {
		q.last.behind = c
	}
	q.last = c
}

// remove takes a call out, and tells whether it was still there.
func (q *queue) remove(c *call) bool {
	if !c.queued {
		return false
	}
	if c.before == nil {
		q.first = c.behind
	} else {
		c.before.behind = c.behind
	}
	if c.behind == nil {
		q.last = c.before
	} else {
		c.behind.before = c.before
	}
	c.queued, c.before, c.behind = false, nil, nil
	return true
}

// pop takes out the oldest call. There must be one.
func (q *queue) pop() *call {
	c := q.first
	q.remove(c)
	return c
}

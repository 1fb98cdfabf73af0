package outbox

// A barrier is the number of a record of the log. Frames that depend on the record wait in the outbox until it is as safe as
// the policy demands, and so does all that comes behind them: the order of an outbox never changes. Released in Totals is the
// number of the last record that is safe. The log raises it, and then resumes the outboxes in which frames wait.
//
// Messages that come while a barrier stands count for memory, and not against the limit of the outbox: the log is slow
// then, and not the client. They stay exempt until they are written.

// Hold makes the frames that are added from now on wait for a record. A later record replaces an earlier one.
func (p *Unflushed) Hold(record uint64) {
	if p.barrier == 0 {
		p.held = len(p.fragments)
	}
	p.barrier = max(p.barrier, record)
}

// Resume reports whether a writer must be started, now that Released is higher. Any goroutine may call it.
func (o *Outbox) Resume() (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.startLocked()
}

// barrierLocked is the barrier of the next frames: the newest one, 0 if that is released.
func (o *Outbox) barrierLocked() uint64 {
	if x := o.special.Load(); x != nil && o.isHeld(x.barrier) {
		return x.barrier
	}
	return 0
}

// isHeld reports whether a barrier stands; 0 is none. Released shares its memory with counts that other processors change all the time,
// so it is read only if there is a barrier.
func (o *Outbox) isHeld(barrier uint64) bool {
	return barrier > 0 && barrier > o.totals.Released.Load()
}

// isClosed reports whether the writer stops in front of the chunk.
func (o *Outbox) isClosed(c *Chunk) bool { return c.mark || o.isHeld(c.barrier) }

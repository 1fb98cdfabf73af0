package outbox

// A place is where a part of a reply is missing that a goroutine beside the core adds: the entries of a stream, which lie in
// files. It is a mark in the queue. The writer stops there until the place is filled, so the order of replies stays. What fills
// it counts neither against the limit nor as waiting replies.

// Place is a place in one outbox.
type Place struct{ mark Mark }

// AddPlace adds a place behind the frames that were added before.
func (p *Unflushed) AddPlace(at *Place) {
	p.fragments = append(p.fragments, Fragment{place: &at.mark})
}

// Fill takes frames that belong into a place. With done it is filled. Not ok means that the outbox takes nothing more. A
// writer is to be started if start is true.
func (o *Outbox) Fill(p *Unflushed, at *Place, done bool) (ok, start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed || o.evicted.Load() { // the place has gone with what waited
		p.Discard()
		return false, false
	}
	x := o.specialLocked()
	x.filled.Add(o.insertLocked(p, &at.mark))
	if done {
		x.places.Add(-1)
		return true, o.removeMarkLocked(&at.mark)
	}
	return true, o.startLocked()
}

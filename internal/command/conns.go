package command

import (
	"cmp"
	"iter"
	"slices"
)

// connList is the connections being served, ordered by id, which is the order of their arrival.
// The service's lock guards it.
//
// A connection that ends leaves a gap: so adding, finding and removing one does not touch the
// others. The list is compacted when half of it are gaps.
type connList struct {
	slots []connSlot
	gaps  int
}

type connSlot struct {
	id   int64
	conn *Conn // nil once it has ended
}

// add inserts a connection by its id: at the end, or nearly, if several listeners accept at
// once.
func (l *connList) add(c *Conn) {
	at := len(l.slots)
	for at > 0 && l.slots[at-1].id > c.id {
		at--
	}
	l.slots = slices.Insert(l.slots, at, connSlot{c.id, c})
}

// slot finds an id by binary search; nil if there is none.
func (l *connList) slot(id int64) *connSlot {
	i, found := slices.BinarySearchFunc(l.slots, id, func(p connSlot, id int64) int { return cmp.Compare(p.id, id) })
	if !found {
		return nil
	}
	return &l.slots[i]
}

// find returns the connection with an id, or nil.
func (l *connList) find(id int64) *Conn {
	if p := l.slot(id); p != nil {
		return p.conn
	}
	return nil
}

// remove leaves a gap, and compacts the list when half of it are gaps.
func (l *connList) remove(c *Conn) {
	p := l.slot(c.id)
	if p == nil || p.conn == nil {
		return
	}
	p.conn = nil
	// Compacting moves fewer slots than connections have ended since the last time.
	if l.gaps++; l.gaps > len(l.slots)/2 {
		l.slots = slices.DeleteFunc(l.slots, func(p connSlot) bool { return p.conn == nil })
		l.gaps = 0
	}
}

func (l *connList) len() int { return len(l.slots) - l.gaps }

// all are the connections, without the gaps.
func (l *connList) all() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for _, p := range l.slots {
			if p.conn != nil && !yield(p.conn) {
				return
			}
		}
	}
}

// all are the connections being served, in the order of their arrival. Any goroutine may call
// it.
func (s *Service) all() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.AppendSeq(make([]*Conn, 0, s.conns.len()), s.conns.all())
}

// clients are the connections that have not been evicted: a killed connection takes a moment to
// close, and is no client meanwhile.
//
// Only the core's goroutine may call it: executors and subscriptions are its own.
func (s *Service) clients() []*executor {
	var list []*executor
	s.eachClient(func(e *executor) { list = append(list, e) })
	return list
}

// eachClient is clients without a list, for frequent use. It holds the service's lock: do must
// not take that, and must be short.
func (s *Service) eachClient(do func(*executor)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns.all() {
		if !c.executor.evicted {
			do(&c.executor)
		}
	}
}

// client is the one with an id, or nil.
func (s *Service) client(id int64) *executor {
	s.mu.Lock()
	c := s.conns.find(id)
	s.mu.Unlock()
	if c == nil || c.executor.evicted {
		return nil
	}
	return &c.executor
}

package stream

import (
	"iter"

	"github.com/conchmq/conch/broker"
)

// Streams is the state. The core owns it.
type Streams struct {
	names    map[string]*Stream
	order    *numbered // the same, by number; another one after a Flush
	next     uint64    // the number of the next stream
	expiring int       // streams with an expiry
	due      deadlines
	duration uint32 // of the windows of new streams
	maxSize  uint16
	given    settingSet
	rules    []Rule // of retention; replaced, never changed
	sweep    sweep  // streams that do not have their rule yet
	cursors  order[*Cursor]
	sources  order[*SourcePosition] // how far sources have read
	durable  *Globs                 // the names of durable topics; nil if there are none

	sequence uint64 // the largest of a change
	time     int64  // the latest of a change

	// What follows is no part of the state, and not in its digest.
	now         int64 // as SetNow set it
	bytes       int64
	cursorBytes int64 // of cursors and of positions of sources
	// expirySum is the sum of all expiries. They may be any numbers: it is rounded.
	expirySum float64
	entries   int // live ones of all streams
	watched   map[string]*Watched
	saving    saving
	matcher   broker.Matcher // of the globs of rules and of durable topics
	lastTopic lastTopic
}

// New returns a state without streams.
func New() *Streams {
	return &Streams{
		names: make(map[string]*Stream), order: &numbered{}, next: 1,
		duration: DefaultDuration, maxSize: DefaultMaxSize, watched: make(map[string]*Watched), cursors: newCursors(), sources: newSourcePositions(),
	}
}

// SetNow sets the time by which keys end for Lookup and Scan: a key is missing from its instant on, even before it is removed.
func (s *Streams) SetNow(ms int64) { s.now = ms }

// Lookup returns the stream with that name, or nil.
func (s *Streams) Lookup(name []byte) *Stream {
	st := s.names[string(name)]
	if st == nil || s.isOver(st) {
		return nil
	}
	return st
}

// isOver reports whether the time of a key is up.
func (s *Streams) isOver(st *Stream) bool { return st.expiry != nil && st.expiry.at <= s.now }

// ByNumber returns the stream with that number, or nil.
func (s *Streams) ByNumber(number uint64) *Stream { return s.order.get(number) }

// Len returns how many streams there are, with those that are over and not yet removed.
func (s *Streams) Len() int { return s.order.count }

// WithExpiry returns how many of them have an expiry.
func (s *Streams) WithExpiry() int { return s.expiring }

// MeanExpiry returns the mean of these expiries in milliseconds, about; 0 if there is none.
func (s *Streams) MeanExpiry() float64 {
	if s.expiring == 0 {
		return 0
	}
	return s.expirySum/float64(s.expiring) - 1 // a key has gone behind its expiry
}

// Sequence returns the largest sequence number of a change.
func (s *Streams) Sequence() uint64 { return s.sequence }

// Time returns the latest time of a change, in milliseconds.
func (s *Streams) Time() int64 { return s.time }

// Memory returns about how many bytes keys, ids, windows, cursors and positions of sources take.
func (s *Streams) Memory() int64 { return s.bytes + s.cursorBytes }

// Entries returns how many entries all streams have.
func (s *Streams) Entries() int { return s.entries }

// All returns the streams in the order in which they were made. None may be added or removed meanwhile.
func (s *Streams) All() iter.Seq[*Stream] {
	return func(yield func(*Stream) bool) {
		s.order.from(0, func(st *Stream) bool { return s.isOver(st) || yield(st) })
	}
}

// Scan calls f for count streams from a cursor on, and returns the next cursor: 0 at the end. A cursor of 0 starts. A stream that
// exists throughout comes once.
func (s *Streams) Scan(cursor uint64, count int, f func(*Stream)) (next uint64) {
	s.order.from(cursor, func(st *Stream) bool {
		if count--; count < 0 {
			next = st.number
			return false
		}
		if !s.isOver(st) {
			f(st)
		}
		return true
	})
	return next
}

// Live calls add for the parts of count ordinals from first on that are alive in the stream with that number.
func (s *Streams) Live(number, first uint64, count int, add func(first uint64, count int)) {
	st := s.ByNumber(number)
	if st == nil || count <= 0 {
		return
	}
	v := st.ids.view()
	v.live(first, first+uint64(count), add)
}

// NextDeadline returns when PlanDue will find something.
func (s *Streams) NextDeadline() (ms int64, ok bool) {
	if s.sweep.isOn() {
		return 1, true
	}
	if len(s.due) == 0 {
		return 0, false
	}
	return s.due[0].at, true
}

package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// ActAsBroker makes a connection within the process one of the broker itself: it needs no password, and no rule of access holds for
// it. It comes before [Service.Add].
func (c *Conn) ActAsBroker() { c.isBroker, c.executor.unrestricted = true, true }

// ID is the number of the connection.
func (c *Conn) ID() int64 { return c.id }

// DurableTopics are the names of durable topics; nil if there are none.
func (s *Service) DurableTopics() *stream.Globs { return s.streams.durable.Load() }

// DurableChange returns a channel that is closed when other topics become durable.
func (s *Service) DurableChange() <-chan struct{} { return s.streams.durableChange.wait() }

// streamsPerVisit bounds the streams that one visit to the core looks at.
const streamsPerVisit = 1000

// StreamNames calls f with the name of each stream that was made behind the one with a number, and returns the number of the last one. It
// visits the core several times, and returns false if that has stopped.
func (s *Service) StreamNames(after uint64, f func(name string)) (last uint64, ok bool) {
	last = after
	for next := after + 1; next > 0; {
		var names []string
		ok := s.runOnCore(func(broker.View) {
			next = s.streams.state.Scan(next, streamsPerVisit, func(st *stream.Stream) {
				names, last = append(names, st.Name()), st.Number()
			})
		})
		if !ok {
			return last, false
		}
		for _, name := range names {
			f(name)
		}
	}
	return last, true
}

// GroupBacklog returns how many entries of some streams a group has not reached, and which of the streams have entries pending in it.
func (s *Service) GroupBacklog(group string, streams []string) (lag uint64, pending []string) {
	s.runOnCore(func(broker.View) {
		for _, name := range streams {
			st := s.streams.state.Lookup([]byte(name))
			if st == nil {
				continue
			}
			if g := st.Group([]byte(group)); g != nil {
				lag += uint64(max(0, st.Lag(g))) //nolint:gosec // not negative
				if g.Pending() > 0 {
					pending = append(pending, name)
				}
			}
		}
	})
	return lag, pending
}

package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// LastID returns the last id of a stream, as XADD with IF-LAST compares it: 0-0 if there is no such stream. It checks no
// right: the caller shows the id only behind a reply that the user has got about that stream, which also waits for the log.
// Any goroutine but the core's may call it. It returns false if the core has stopped.
func (s *Service) LastID(name string) (id string, ok bool) {
	last := stream.MinID
	ok = s.runOnCore(func(v broker.View) {
		if s.streams.store == nil {
			return
		}
		s.streams.beginRound(v)
		if found := s.streams.state.Lookup([]byte(name)); found != nil {
			last = found.LastID()
		}
	})
	return last.String(), ok
}

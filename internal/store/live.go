package store

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/log"
)

// live returns the parts of spans whose entries exist. The log's rewriter calls it, before it drops the others.
//
// An entry must not go while a crash could still undo its deletion: the deletions are synced first.
func (s *Store) live(spans []log.Span) (live []log.Span) {
	service := s.service.Load()
	if service == nil {
		return spans
	}
	ok := (*service).RunOnCore(func(broker.View) { live = s.liveSpans(spans) })
	if !ok || s.log.SyncWithSpace() != nil {
		return spans
	}
	return live
}

// liveSpans is live at the present instant. The core calls it; in a store that is only read, any goroutine does.
func (s *Store) liveSpans(spans []log.Span) (live []log.Span) {
	for _, span := range spans {
		s.streams.Live(span.Key, span.First, span.Count, func(first uint64, count int) {
			live = append(live, log.Span{Key: span.Key, First: first, Count: count})
		})
	}
	return live
}

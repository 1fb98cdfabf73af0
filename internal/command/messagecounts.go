package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
)

// messageCounts counts the messages of one subscription, or of all subscriptions to one name.
//
// Each message published to a subscription is in exactly one of filtered, delivered, dropped,
// queued and undelivered.
type messageCounts struct {
	published  uint64
	filtered   uint64
	unreadable uint64 // among the filtered
	outbox.DeliveryCounts
}

func (f *messageCounts) add(g messageCounts) {
	f.published += g.published
	f.filtered += g.filtered
	f.unreadable += g.unreadable
	f.Matched += g.Matched
	f.Delivered += g.Delivered
	f.Dropped += g.Dropped
	f.Undelivered += g.Undelivered
	f.Replayed += g.Replayed
}

// messageCountsOf counts the messages of a subscription until this instant. The flush comes
// first: messages of the current round count too.
//
// Messages that EXEC holds back until its end count as queued: the outbox does not have them
// yet, and they are not lost.
func messageCountsOf(s *broker.Subscription) messageCounts {
	t := s.Stats()
	f := messageCounts{published: t.Published, filtered: t.Filtered, unreadable: t.Unreadable}
	e := s.Conn().(*executor)
	e.Flush()
	if a, ok := s.Data.(*outbox.Account); ok {
		f.DeliveryCounts = e.outbox.CountsOf(a)
	}
	f.Matched = int64(t.Matched) //nolint:gosec // a count
	return f
}

// messageCountsFields is how many fields messageCounts appends.
const messageCountsFields = 8

func (w *response) messageCounts(f *messageCounts) {
	w.count("published", int(f.published)) //nolint:gosec // counts
	w.count("delivered", int(f.Delivered))
	w.count("filtered", int(f.filtered))     //nolint:gosec // counts
	w.count("unreadable", int(f.unreadable)) //nolint:gosec // counts
	w.count("dropped", int(f.Dropped))
	w.count("undelivered", int(f.Undelivered))
	w.count("queued", int(f.Waiting()))
	w.count("replayed", int(f.Replayed))
}

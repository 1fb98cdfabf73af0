package command

import (
	"cmp"
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/recent"
)

// matches finds the replays that get a message. It belongs to the feeder's goroutine, and holds a slot while it works: feeders have
// slots of their own, so that they neither delay publishers nor take all processors.
type matches struct {
	turn
	byTopic map[string][]*replay
	globs   []*replay
	limits  filter.Limits
	msg     filter.Message
	found   []*replay
}

// messageCost is about what it costs to look a message up, in the unit of turnWork.
const messageCost = 64

func (k *matches) init(s *Service, by *abortSignal, replays []*replay) {
	k.turn, k.limits = turn{evaluators: &s.feeders, by: by}, s.options.filterLimits()
	k.byTopic = make(map[string][]*replay)
	for i, r := range replays {
		r.order = i
		if topic := r.sub.Topic(); r.sub.Kind() == broker.Topic || isLiteral(topic) {
			k.byTopic[topic] = append(k.byTopic[topic], r)
		} else {
			k.globs = append(k.globs, r)
		}
	}
}

// step is that of a turn. It also ends the work of a connection that ends: a chunk of small messages and a thousand predicates
// would go on for many seconds, and the connection waits.
func (k *matches) step(work int) bool { return !k.by.raised.Load() && k.turn.step(work) }

// of returns the replays that get a message, in the order of delivery. They are valid until the next call. False means that the
// connection ends.
func (k *matches) of(m *recent.Message) (found []*replay, ok bool) {
	if !k.step(messageCost + len(k.globs)*len(m.Topic)) {
		return nil, false
	}
	all := append(k.found[:0], k.byTopic[string(m.Topic)]...)
	for _, r := range k.globs {
		if broker.Match(r.sub.Topic(), m.Topic) {
			all = append(all, r)
		}
	}
	k.found = all
	if len(all) > 1 {
		slices.SortFunc(all, func(a, b *replay) int {
			return cmp.Or(cmp.Compare(a.sub.Kind(), b.sub.Kind()), cmp.Compare(a.order, b.order))
		})
	}
	found, decodes := all[:0], false
	for _, r := range all {
		if r.gone || m.Sequence < r.start {
			continue
		}
		if r.predicate != nil {
			if !decodes {
				k.msg.Reset(m.Topic, m.Payload, k.limits)
				decodes = true
			}
			if !k.step(len(m.Payload) + r.predicate.MemSize()) {
				return nil, false
			}
			if r.predicate.Match(&k.msg) != filter.Yes {
				continue
			}
		}
		found = append(found, r)
	}
	return found, true
}

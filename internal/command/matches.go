package command

import (
	"cmp"
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/recent"
	"github.com/conchmq/conch/internal/stream"
)

// matches finds the replays that get a message. It belongs to the feeder's goroutine, and holds a slot while it works: feeders have
// slots of their own, so that they neither delay publishers nor take all processors.
//
// It holds the chunk as well, of which it looks messages up: while it waits for a slot it holds none, so that the chunks of very many
// feeders that wait are not kept in memory.
type matches struct {
	turn
	recent *recent.Messages
	// chunk is the one that is held; nil for none.
	chunk *recent.Chunk
	// gone means that the chunk was dropped while the feeder waited.
	gone bool
	// yield comes before the feeder waits for its next turn; nil if there is nothing to give up.
	yield func()

	byTopic map[string][]*replay
	ofTopic []*replay // of them, those of the last message's topic
	globs   []*replay
	limits  filter.Limits
	msg     filter.Message
	entry   entry.Message
	found   []*replay
}

// messageCost is about what it costs to look a message up, in the unit of turnWork.
const messageCost = 64

func (k *matches) init(s *Service, by *abortSignal, replays []*replay) {
	k.turn, k.limits, k.recent = turn{evaluators: &s.feeders, by: by}, s.options.filterLimits(), s.recent
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

// take acquires a slot, and takes the chunk with the first message from there on, as [recent.Messages.Chunk] does. False means that
// the connection ends.
func (k *matches) take(from uint64) (c *recent.Chunk, evicted uint64, ok bool) {
	if k.gone = false; !k.step(0) {
		return nil, 0, false
	}
	k.chunk, evicted = k.recent.Chunk(from)
	return k.chunk, evicted, true
}

// takeBefore is take for [recent.Messages.Before].
func (k *matches) takeBefore(seq uint64) (c *recent.Chunk, ok bool) {
	if k.gone = false; !k.step(0) {
		return nil, false
	}
	k.chunk = k.recent.Before(seq)
	return k.chunk, true
}

// release gives back the chunk and the slot.
func (k *matches) release() {
	if k.chunk != nil {
		k.chunk.Release()
		k.chunk = nil
	}
	k.end()
}

// step is that of a turn. It also ends the work of a connection that ends: a chunk of small messages and a thousand predicates
// would go on for many seconds, and the connection waits. False means that, or that the chunk is gone.
func (k *matches) step(work int) bool {
	if k.by.raised.Load() || k.chunk != nil && k.isOver() && !k.pause() {
		return false
	}
	if k.yield != nil && k.isOver() {
		k.yield()
	}
	return k.turn.step(work)
}

// pause lets a feeder that waits take its turn. False means that the connection ends, or that the chunk is gone.
func (k *matches) pause() bool {
	c := k.chunk
	k.release()
	if !k.turn.step(0) {
		return false
	}
	k.chunk, _ = k.recent.Chunk(c.First())
	k.gone = k.chunk != c
	return !k.gone
}

// of returns the replays that get a message, in the order of delivery; fields are those of an entry, nil for any other message. They are
// valid until the next call. False is that of step.
func (k *matches) of(m *recent.Message, fields *stream.Fields) (found []*replay, ok bool) {
	cost := messageCost + len(k.globs)*len(m.Topic)
	if fields != nil {
		cost /= historyShare
	}
	if !k.step(cost) {
		return nil, false
	}
	if len(k.ofTopic) == 0 || k.ofTopic[0].sub.Topic() != string(m.Topic) {
		k.ofTopic = k.byTopic[string(m.Topic)]
	}
	all := append(k.found[:0], k.ofTopic...)
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
				k.decode(m, fields)
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

// decode makes a message the input of predicates.
func (k *matches) decode(m *recent.Message, fields *stream.Fields) {
	if fields == nil {
		k.msg.Reset(m.Topic, m.Payload, k.limits)
		return
	}
	k.entry.Reset(*fields)
	k.msg.ResetSource(m.Topic, &k.entry, k.limits)
}

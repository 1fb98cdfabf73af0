package command

import (
	"cmp"
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// eachAtOnce is how many entries of LAST 1 EACH are read for one visit to the core.
const eachAtOnce = 256

// eachEntry is the last entry of one topic, for a replay with LAST 1 EACH.
type eachEntry struct {
	sequence, key, ordinal uint64
	replay                 *replay
}

// collectEach finds the last entries before the subscription of all topics that a replay matches. The core is visited for some streams at
// a time. False means that the connection ends.
func (h *history) collectEach(r *replay) bool {
	names := newReadNames(&readRequest{})
	names.durable = h.isDurable
	switch topic := r.sub.Topic(); {
	case r.isLiteral():
		names.names = []string{topic}
	case matchesAll(topic):
		names.all = true
	default:
		names.globs = append(names.globs, newGlob(topic))
	}
	defer h.pass.matches.end()
	for cursor, more := uint64(0), true; more; {
		if !h.pass.matches.step(turnWork / historyShare) {
			return false
		}
		var visited []readStream
		if !h.service.RunOnCore(func(broker.View) {
			state := h.service.streams.state
			add := func(st *stream.Stream) { visited = append(visited, readStream{st.Number(), st.Name(), st.Len()}) }
			if r.isLiteral() {
				if st := state.Lookup([]byte(names.names[0])); st != nil {
					add(st)
				}
				return
			}
			cursor = state.Scan(cursor, keysPerVisit, add)
		}) {
			return false
		}
		visited = slices.DeleteFunc(visited, func(st readStream) bool { return !names.wants(st.name) })
		if !h.addLast(r, visited) {
			return false
		}
		if more = cursor > 0; names.err() != nil {
			return h.fail(names.err())
		}
	}
	slices.SortFunc(h.each, func(a, b eachEntry) int {
		return cmp.Or(cmp.Compare(a.sequence, b.sequence), cmp.Compare(a.replay.order, b.replay.order))
	})
	return true
}

// addLast adds the last entries of some streams.
func (h *history) addLast(r *replay, streams []readStream) bool {
	m, ok := newMergedSource(h.service, streams, stream.MinID)
	defer m.release()
	if !ok {
		return false
	}
	for _, c := range m.cursors {
		at := c.rng.Last()
		e, found, err := c.first(at)
		if err == nil && found && e.Sequence > r.after { // it came since the subscription
			found, err = false, c.seek(readStart{sequence: r.after + 1})
			for at = c.next; at > c.rng.First() && !found && err == nil; {
				if at--; c.rng.Live(at) {
					e, found, err = c.first(at)
				}
			}
		}
		if err != nil {
			h.damaged(err)
			continue
		}
		if found {
			h.each = append(h.each, eachEntry{e.Sequence, c.number, e.Ordinal, r})
		}
	}
	h.charge()
	return true
}

// feedEach encodes the next entries of LAST 1 EACH, those that are still there. False means that the connection ends.
func (h *history) feedEach() bool {
	p := h.pass
	next := h.each[p.each:min(len(h.each), p.each+eachAtOnce)]
	pins, names := make([]Pin, len(next)), make([]string, len(next))
	defer func() {
		for _, pin := range pins {
			if pin != nil {
				pin.Release()
			}
		}
	}()
	if !h.service.RunOnCore(func(broker.View) {
		s := &h.service.streams
		for i, e := range next {
			if st := s.state.Present(e.key); st != nil && st.IsLive(e.ordinal) {
				pins[i], names[i] = s.store.Pin(e.key, e.ordinal, e.ordinal), st.Name()
			}
		}
	}) {
		return false
	}
	for i, e := range next {
		if p.pending.isFull() {
			break
		}
		p.each++
		if pins[i] == nil || e.replay.gone {
			continue
		}
		if !p.matches.step(turnWork / historyRows) {
			return false
		}
		h.clearBatch()
		h.clearEntries()
		if err := h.readOne(pins[i], e, names[i]); err != nil {
			h.damaged(err)
			continue
		}
		for j := range h.entries {
			k := &h.entries[j]
			if r := e.replay; r.predicate == nil || h.matches(r, &readRow{Entry: stream.Entry{Fields: k.fields}, name: names[i]}) {
				p.pending.message(r, &k.Message, &k.fields, p.formats[r.sub.Form])
			}
		}
	}
	h.clearEntries()
	return true
}

// readOne makes one entry that of the history.
func (h *history) readOne(pin Pin, want eachEntry, name string) (err error) {
	var failed error
	err = pin.Read(func(changes []byte) bool {
		failed = stream.EachEntry(changes, want.key, func(e *stream.Entry) bool {
			if e.Ordinal != want.ordinal {
				return true
			}
			h.add(&readRow{Entry: *e, name: name, wanted: true})
			return false
		})
		return failed == nil && len(h.entries) == 0
	})
	return cmp.Or(err, failed)
}

package command

import (
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

const (
	// maxMerged is how many streams are read one by one, and merged.
	maxMerged = 16
	// mergedShare is the part of all entries, one in so many, up to which they are: beyond it reading the log costs less.
	mergedShare = 8
	// keysPerVisit is how many streams a visit to the core goes over.
	keysPerVisit = 1000
	// maxSearched is how many streams are searched for those that a glob matches, before the log is read instead.
	maxSearched = 100_000
)

// readNames decides which streams a READ shows.
type readNames struct {
	*readRequest
	globs []*budgetedGlob
	// durable leaves out what is no durable topic; nil for READ.
	durable func(name string) bool
}

func newReadNames(q *readRequest) *readNames {
	n := &readNames{readRequest: q}
	for _, text := range q.globs {
		n.globs = append(n.globs, newGlob(text))
	}
	return n
}

// wants reports whether a stream is shown.
func (n *readNames) wants(name string) bool {
	if n.durable != nil && !n.durable(name) {
		return false
	}
	if _, named := slices.BinarySearch(n.names, name); named {
		return true
	}
	matches := n.all || slices.ContainsFunc(n.globs, func(g *budgetedGlob) bool { return g.matches(name) })
	return matches && n.mayRead(name)
}

// err is the error of a glob that costs too much.
func (n *readNames) err() *protocol.Error {
	for _, g := range n.globs {
		if err := g.err(); err != nil {
			return err
		}
	}
	return nil
}

// readStream is a stream that a READ shows.
type readStream struct {
	number uint64
	name   string
	len    int
}

// find returns the streams that are shown. few is false if they are many, or a large part of all entries: the log is read then, and it is
// found on the way.
func (n *readNames) find(s *Service) (found []readStream, few, ok bool) {
	total := 0
	ok = s.RunOnCore(func(broker.View) {
		state := s.streams.state
		total = state.Entries()
		for _, name := range n.names {
			if st := state.Lookup([]byte(name)); st != nil && (n.durable == nil || n.durable(name)) {
				found = append(found, readStream{st.Number(), name, st.Len()})
			}
		}
	})
	few = !n.all
	if len(n.globs) > 0 && few && ok {
		found, few, ok = n.search(s, found)
	}
	entries := 0
	for _, st := range found {
		entries += st.len
	}
	few = few && (len(found) <= 1 || len(found) <= maxMerged && entries <= total/mergedShare)
	return found, few, ok
}

// search adds the streams that globs match, unless there are too many.
func (n *readNames) search(s *Service, found []readStream) (all []readStream, few, ok bool) {
	var cursor uint64
	var visited []readStream
	for searched := 0; searched < maxSearched; searched += keysPerVisit {
		visited = visited[:0]
		if !s.RunOnCore(func(broker.View) {
			cursor = s.streams.state.Scan(cursor, keysPerVisit, func(st *stream.Stream) {
				visited = append(visited, readStream{st.Number(), st.Name(), st.Len()})
			})
		}) {
			return nil, false, false
		}
		for _, st := range visited {
			if _, named := slices.BinarySearch(n.names, st.name); !named && n.wants(st.name) {
				found = append(found, st)
			}
		}
		switch {
		case cursor == 0:
			return found, true, true
		case len(found) > maxMerged:
			return found, false, true
		}
	}
	return found, false, true
}

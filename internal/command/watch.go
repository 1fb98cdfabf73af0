package command

import (
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// watchedKeys are the keys of WATCH. The first WATCH of a key counts.
type watchedKeys struct {
	list []watchedKey
	has  map[*stream.Watched]struct{}
}

// watchedKey is a key with the version that it had at its WATCH.
type watchedKey struct {
	key     *stream.Watched
	version uint64
}

// watchCost is about what a watched key takes in memory, besides its name.
const watchCost = 200

// watch is WATCH key [key ...]. It comes before MULTI; EXEC then fails if any of the keys has changed. Very many keys come in pieces.
func watch(w *response) {
	e := w.executor
	if e.txn != nil {
		if w.inv.isLast() {
			w.fail(protocol.Errorf("WATCH inside MULTI is not allowed"))
		}
		return
	}
	x := e.usesStreams()
	if e.service.options.Order != nil && len(x.watched.list)+len(w.inv.args)-1 > maxWatchedInOrder {
		w.fail(protocol.Errorf("more than %d keys to watch on a node of a cluster", maxWatchedInOrder))
		return
	}
	size := int(x.usage.watched.Load())
	for _, name := range w.inv.args[1:] {
		key := w.streams().Watch(name)
		if _, ok := x.watched.has[key]; ok {
			w.streams().Unwatch(key)
			continue
		}
		if x.watched.has == nil {
			x.watched.has = make(map[*stream.Watched]struct{})
		}
		x.watched.has[key] = struct{}{}
		x.watched.list = append(x.watched.list, watchedKey{key, key.Version()})
		size += watchCost + len(name)
	}
	e.service.memory.SetUsage(&x.usage.watched, size)
	if w.inv.isLast() {
		w.ok()
	}
}

// unwatch is UNWATCH.
func unwatch(w *response) {
	w.executor.unwatchAll()
	w.ok()
}

// watchedChanged reports whether any watched key has changed.
func (e *executor) watchedChanged() bool {
	for _, w := range e.watchedKeys() {
		if w.key.Version() != w.version {
			return true
		}
	}
	return false
}

// maxUnwatched bounds the keys that the core ends the watch of at once: 190,000 took 300 ms.
const maxUnwatched = 1000

// unwatchAll ends the watch of all keys: what is more than maxUnwatched is left to visits.
func (e *executor) unwatchAll() {
	x := e.streamClient.Load()
	if x == nil {
		return
	}
	list := x.watched.list
	x.watched = watchedKeys{}
	e.service.memory.SetUsage(&x.usage.watched, 0)
	s := &e.service.streams
	if list = s.unwatch(list); len(list) == 0 {
		return
	}
	if s.leftWatched = append(s.leftWatched, list); len(s.leftWatched) == 1 {
		e.service.tasks.Go(e.service.unwatchLeft)
	}
}

// unwatch ends the watch of some keys, and returns the others.
func (s *streams) unwatch(list []watchedKey) (rest []watchedKey) {
	n := min(len(list), maxUnwatched)
	for _, w := range list[:n] {
		s.state.Unwatch(w.key)
	}
	return list[n:]
}

// unwatchLeft ends the watch of all keys that were left, in visits of the core. It is a goroutine, while there are any.
func (s *Service) unwatchLeft() {
	for more := true; more; {
		visited := s.runOnCore(func(broker.View) {
			left := &s.streams.leftWatched
			if more = len(*left) > 0; !more { // Replace has dropped them
				return
			}
			if (*left)[0] = s.streams.unwatch((*left)[0]); len((*left)[0]) == 0 {
				*left = slices.Delete(*left, 0, 1)
			}
		})
		more = more && visited
	}
}

package command

import (
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// watchedKey is a key of WATCH, with what had happened to it by then.
type watchedKey struct {
	key     *stream.Watched
	version uint64
}

// watchCost is about what a watched key takes in memory, besides its name.
const watchCost = 150

// watch is WATCH key [key ...]. It comes before MULTI; EXEC then fails if any of the keys has changed.
func watch(w *response) {
	e := w.executor
	if e.txn != nil {
		w.fail(protocol.Errorf("WATCH inside MULTI is not allowed"))
		return
	}
	size := int(e.usage.watched.Load())
	for _, name := range w.inv.args[1:] {
		key := w.streams().Watch(name)
		if e.watches(key) {
			w.streams().Unwatch(key)
			continue
		}
		e.watched = append(e.watched, watchedKey{key, key.Version()})
		size += watchCost + len(name)
	}
	e.service.memory.SetUsage(&e.usage.watched, size)
	w.ok()
}

// watches reports whether the connection watches a key already: the first time counts.
func (e *executor) watches(key *stream.Watched) bool {
	for _, k := range e.watched {
		if k.key == key {
			return true
		}
	}
	return false
}

// unwatch is UNWATCH.
func unwatch(w *response) {
	w.executor.unwatchAll()
	w.ok()
}

// watchedChanged reports whether any watched key has changed.
func (e *executor) watchedChanged() bool {
	for _, k := range e.watched {
		if k.key.Version() != k.version {
			return true
		}
	}
	return false
}

// unwatchAll ends the watch of all keys.
func (e *executor) unwatchAll() {
	for _, k := range e.watched {
		e.service.streams.state.Unwatch(k.key)
	}
	e.watched = nil
	e.service.memory.SetUsage(&e.usage.watched, 0)
}

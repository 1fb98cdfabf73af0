package command

import (
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// watchedKeys are the keys of WATCH, with the version that each had then: the first WATCH of a key counts.
type watchedKeys map[*stream.Watched]uint64

// watchCost is about what a watched key takes in memory, besides its name.
const watchCost = 200

// watch is WATCH key [key ...]. It comes before MULTI; EXEC then fails if any of the keys has changed.
func watch(w *response) {
	e := w.executor
	if e.txn != nil {
		w.fail(protocol.Errorf("WATCH inside MULTI is not allowed"))
		return
	}
	x := e.usesStreams()
	size := int(x.usage.watched.Load())
	for _, name := range w.inv.args[1:] {
		key := w.streams().Watch(name)
		if _, ok := x.watched[key]; ok {
			w.streams().Unwatch(key)
			continue
		}
		if x.watched == nil {
			x.watched = make(watchedKeys)
		}
		x.watched[key] = key.Version()
		size += watchCost + len(name)
	}
	e.service.memory.SetUsage(&x.usage.watched, size)
	w.ok()
}

// unwatch is UNWATCH.
func unwatch(w *response) {
	w.executor.unwatchAll()
	w.ok()
}

// watchedChanged reports whether any watched key has changed.
func (e *executor) watchedChanged() bool {
	for key, version := range e.watchedKeys() {
		if key.Version() != version {
			return true
		}
	}
	return false
}

// unwatchAll ends the watch of all keys.
func (e *executor) unwatchAll() {
	x := e.streamClient.Load()
	if x == nil {
		return
	}
	for key := range x.watched {
		e.service.streams.state.Unwatch(key)
	}
	x.watched = nil
	e.service.memory.SetUsage(&x.usage.watched, 0)
}

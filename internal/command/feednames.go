package command

import (
	"slices"
	"sync"
)

// maxClosedFeeds bounds the names that are kept of feeds that have closed.
const maxClosedFeeds = 1000

// feedNames has the names of feeds by their ids. Those that have closed are kept for WHY: a connector has one feed a connection, with one id
// for all. The id of a feed is negative, so it is that of no client, and names no second one.
type feedNames struct {
	mu     sync.Mutex // guards what follows; held for a few instructions, because the core takes it for WHY
	last   int64      // the id that was given last
	ids    map[string]int64
	names  map[int64]string
	open   map[int64]int // feeds that have not closed
	closed []int64       // ids without one, in the order in which they closed
}

// enter returns the id of a feed of that name.
func (f *feedNames) enter(name string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids == nil {
		f.ids, f.names, f.open = make(map[string]int64), make(map[int64]string), make(map[int64]int)
	}
	id, ok := f.ids[name]
	if !ok {
		f.last--
		id = f.last
		f.ids[name], f.names[id] = id, name
	}
	if f.open[id]++; f.open[id] == 1 {
		f.closed = slices.DeleteFunc(f.closed, func(c int64) bool { return c == id })
	}
	return id
}

// leave notes that a feed has closed.
func (f *feedNames) leave(id int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[id]--; f.open[id] > 0 {
		return
	}
	delete(f.open, id)
	if f.closed = append(f.closed, id); len(f.closed) > maxClosedFeeds {
		oldest := f.closed[0]
		f.closed = slices.Delete(f.closed, 0, 1)
		delete(f.ids, f.names[oldest])
		delete(f.names, oldest)
	}
}

// name is that of an id, empty if it is no feed's, or that of one that closed long ago.
func (f *feedNames) name(id int64) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names[id]
}

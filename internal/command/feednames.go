package command

import (
	"slices"
	"sync"
)

// feedNames has the names of all feeds so far, of which there are few: that of a connector is the same over its connections. The id of a
// feed is negative, so it is that of no client.
type feedNames struct {
	mu    sync.Mutex // guards names; held for a few instructions, because the core takes it for WHY
	names []string
}

// id is that of the feeds of a name.
func (f *feedNames) id(name string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.names, name)
	if i < 0 {
		i = len(f.names)
		f.names = append(f.names, name)
	}
	return int64(-i - 1)
}

// name is that of an id, empty if it is no feed's.
func (f *feedNames) name(id int64) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := -id - 1; i >= 0 && i < int64(len(f.names)) {
		return f.names[i]
	}
	return ""
}

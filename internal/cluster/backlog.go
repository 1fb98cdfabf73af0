package cluster

import (
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// maxBacklog is how many bytes of committed entries may wait to be applied. Before raft has handed as many of the usual size to the applier, its own
// bound of entries holds.
const maxBacklog = 256 << 20

// backlog bounds the memory of a node that applies more slowly than others commit: raft keeps up to 8,192 entries for the applier, of any size. While
// too many bytes wait, raft stores no more entries, as it does behind a disk that is slow. What is committed is applied without any other entry, so
// the wait ends.
type backlog struct {
	most int
	ends <-chan struct{} // the node is closed
	news chan struct{}   // of capacity 1: an entry was applied

	mu      sync.Mutex
	entries []size // proposals, from the first one that is not applied
}

// size is that of an entry.
type size struct {
	index uint64
	bytes int
}

// add counts entries that were stored.
func (b *backlog) add(logs []*raft.Log) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			b.entries = append(b.entries, size{l.Index, len(l.Data)})
		}
	}
}

// cut takes out the entries from an index on: another leader has replaced them.
func (b *backlog) cut(from uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = slices.DeleteFunc(b.entries, func(e size) bool { return e.index >= from })
}

// applied takes out the entries up to an index. A snapshot has them as well.
func (b *backlog) applied(index uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for n < len(b.entries) && b.entries[n].index <= index {
		n++
	}
	b.entries = b.entries[n:]
	signal(b.news)
}

// wait returns once few enough bytes wait of what is committed.
func (b *backlog) wait(committed uint64) {
	for b.bytes(committed) > b.most {
		select {
		case <-b.news:
		case <-b.ends:
			return
		}
	}
}

// bytes are those of the entries up to an index that are not applied.
func (b *backlog) bytes(committed uint64) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.index > committed {
			break
		}
		n += e.bytes
	}
	return n
}

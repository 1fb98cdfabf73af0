package command

import (
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/invariant"
)

// indexVersions holds the index of predicates that the core has handed out last, for all that publish, and counts the
// publishers with a batch that was judged by an older one: see broker/grace.go. Nothing in it blocks.
type indexVersions struct {
	core    *broker.Broker
	current atomic.Pointer[indexVersion]
}

// indexVersion is one version of the index. Its users are the publishers that judge by it; being the current one is a use, too. A
// count of 0 stays 0, so exactly one goroutine finds that the version is unused.
type indexVersion struct {
	number uint64
	index  atomic.Pointer[broker.Index] // the last one of this version: see broker.Index
	users  atomic.Int64
}

// init makes v ready for its core. A core has one of them.
func (v *indexVersions) init(core *broker.Broker) {
	v.core = core
	v.current.Store(newIndexVersion(new(broker.Index)))
	core.OnIndex(v.take)
}

func newIndexVersion(x *broker.Index) *indexVersion {
	g := &indexVersion{number: x.Version()}
	g.index.Store(x)
	g.users.Store(1)
	return g
}

// take takes a new index from the core, on the core's goroutine.
func (v *indexVersions) take(x *broker.Index) (unused bool) {
	g := v.current.Load()
	if g.number == x.Version() {
		g.index.Store(x)
		return false
	}
	v.current.Store(newIndexVersion(x))
	invariant.Yield()
	return g.users.Add(-1) == 0
}

// enter begins to use the current version. The publisher then judges and submits its batch, and leaves. Meanwhile it waits
// for nothing but evaluators and the core. It stands by itself, like leave, for the sake of the reader's stack.
//
//go:noinline
func (v *indexVersions) enter() *indexVersion {
	for {
		g := v.current.Load()
		invariant.Yield()
		for n := g.users.Load(); n > 0; n = g.users.Load() {
			if g.users.CompareAndSwap(n, n+1) {
				return g
			}
		}
	}
}

// leave ends the use of a version. The last one that leaves a version that is not the current one tells the core.
//
//go:noinline
func (v *indexVersions) leave(g *indexVersion) {
	invariant.Yield()
	if g.users.Add(-1) == 0 {
		v.core.Unused(g.number + 1) // there is one grace period at a time
	}
}

package command

import (
	"hash/maphash"
	"iter"

	"github.com/conchmq/conch/broker"
)

// unnamedPublishes are the latest publishes to topics that no subscription names. The core keeps nothing of such a topic, and a
// person whose messages go there has mostly mistyped its name. They belong to the core's goroutine.
//
// Each name has one place among unnamedPlaces, and a newer name takes it over: the memory is bounded, and a publish costs a hash.
type unnamedPublishes struct {
	seed   maphash.Seed
	places []unnamedPublish // nil before the first one
}

// unnamedPublish is the last publish to one name.
type unnamedPublish struct {
	number    uint64
	publisher int64 // the id of its connection
	kind      broker.Kind
	length    uint8
	name      [maxUnnamed]byte
}

const (
	unnamedPlaces = 1024
	maxUnnamed    = 64 // bytes of a name; longer ones are left out
)

// note records a publish.
func (u *unnamedPublishes) note(k broker.Kind, topic []byte, number uint64, publisher int64) {
	if len(topic) > maxUnnamed {
		return
	}
	if u.places == nil {
		u.seed, u.places = maphash.MakeSeed(), make([]unnamedPublish, unnamedPlaces)
	}
	p := u.place(topic)
	p.number, p.publisher, p.kind, p.length = number, publisher, k, uint8(len(topic)) //nolint:gosec // at most maxUnnamed
	copy(p.name[:], topic)
}

func (u *unnamedPublishes) place(topic []byte) *unnamedPublish {
	return &u.places[maphash.Bytes(u.seed, topic)%unnamedPlaces]
}

// last returns the number of the last publish to a topic or a shard, and its publisher; 0 if none is known.
func (u *unnamedPublishes) last(k broker.Kind, topic []byte) (number uint64, publisher int64) {
	if u.places == nil {
		return 0, 0
	}
	if p := u.place(topic); p.number > 0 && p.kind == k && string(p.text()) == string(topic) {
		return p.number, p.publisher
	}
	return 0, 0
}

func (p *unnamedPublish) text() []byte { return p.name[:p.length] }

// all yields the names, in no order.
func (u *unnamedPublishes) all() iter.Seq[*unnamedPublish] {
	return func(yield func(*unnamedPublish) bool) {
		for i := range u.places {
			if p := &u.places[i]; p.number > 0 && !yield(p) {
				return
			}
		}
	}
}

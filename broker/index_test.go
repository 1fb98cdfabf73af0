package broker

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// An index finds just the names that match a topic, and no later change is seen in it.
func TestAnIndexFindsWhatMatches(t *testing.T) {
	type snapshot struct {
		index *Index
		names map[filteredName]bool
	}
	random := rand.New(rand.NewPCG(seedFor(t), 7))
	word := func(alphabet string) string {
		b := make([]byte, random.IntN(6))
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(b)
	}
	all := []snapshot{{new(Index), map[filteredName]bool{}}}
	for range 500 {
		last := all[len(all)-1]
		next, names := *last.index, map[filteredName]bool{}
		for n := range last.names {
			names[n] = true
		}
		n := filteredName{Kind(random.IntN(int(kinds))), ""}
		if n.name = word("ab"); n.kind == Pattern {
			n.name = word("ab*?")
		}
		if names[n] || random.IntN(3) == 0 {
			next.set(n.kind, n.name, nil)
			delete(names, n)
		} else {
			p := &predicateSet{name: n.name, parent: &predicateSets{name: n}}
			next.set(n.kind, n.name, [][]Candidate{{{set: p}}})
			names[n] = true
		}
		all = append(all, snapshot{&next, names})
	}
	var f Finder
	for range 5000 {
		s, kind, topic := all[random.IntN(len(all))], Kind(2*random.IntN(2)), word("ab")
		var want, got []string
		for n := range s.names {
			if n.kind == kind && n.name == topic || n.kind == Pattern && kind == Topic && Match(n.name, []byte(topic)) {
				want = append(want, n.name)
			}
		}
		found, names := f.Find(s.index, kind, []byte(topic))
		for _, c := range slices.Concat(found...) {
			got = append(got, c.set.name)
		}
		require.Len(t, want, names)
		require.ElementsMatch(t, want, got, "%q", topic)
		require.Equal(t, len(s.names) == 0, s.index.Empty())
	}
}

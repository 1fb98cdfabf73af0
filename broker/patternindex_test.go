package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scanned is an index beside what it stands in for: a slice of patterns in order of creation, each tried in turn.
type scanned struct {
	patternIndex
	all []*subscriberSet
}

func (s *scanned) add(glob string) {
	a := &subscriberSet{name: glob, kind: Pattern}
	s.patternIndex.add(a)
	s.all = append(s.all, a)
}

func (s *scanned) has(glob string) bool {
	return slices.ContainsFunc(s.all, func(a *subscriberSet) bool { return a.name == glob })
}

func (s *scanned) remove(i int) {
	s.patternIndex.remove(s.all[i])
	s.all = slices.Delete(s.all, i, i+1)
}

// compare looks a topic up both ways, and returns how many patterns match it.
func (s *scanned) compare(t *testing.T, topic string) int {
	t.Helper()
	var want, got []string
	for _, a := range s.all {
		if Match(a.name, []byte(topic)) {
			want = append(want, a.name)
		}
	}
	for _, a := range s.appendMatches(nil, []byte(topic)) {
		got = append(got, a.name)
	}
	require.Equal(t, want, got, "topic %q", topic)
	return len(want)
}

// requireSound holds the tree to being as small as its patterns allow, and every node to its place. It returns how
// many patterns there are.
func requireSound(t *testing.T, n *node, isRoot bool) int {
	t.Helper()
	require.True(t, isRoot || n.patterns != nil || n.suffixes != nil || len(n.children) > 1, "%q is needless", n.label)
	require.Len(t, n.children, len(n.keys))
	count := 0
	for i, child := range n.children {
		require.Equal(t, n.keys[i], child.label[0])
		require.Equal(t, i, slices.Index(n.keys, n.keys[i]), "two children begin alike")
		require.Same(t, n, child.parent)
		count += requireSound(t, child, false)
	}
	var before *patternEntry
	for p := n.patterns; p != nil; before, p = p, p.next {
		require.Same(t, n, p.node)
		require.Same(t, before, p.prev)
		count++
	}
	if n.suffixes != nil {
		require.Same(t, n, n.suffixes.parent)
		below := requireSound(t, n.suffixes, true)
		require.Positive(t, below, "a tree of suffixes without any")
		count += below
	}
	return count
}

func requireNoPatterns(t *testing.T, x *patternIndex) {
	t.Helper()
	require.Empty(t, x.root.children)
	require.Nil(t, x.root.patterns)
	require.Nil(t, x.root.suffixes)
}

// Whatever comes and goes, a look-up finds what trying all patterns in order of creation would find.
func TestIndexAgreesWithTryingAll(t *testing.T) {
	seed := seedFor(t)
	alphabets := map[string][2]string{ // of globs, of topics
		"every mark":             {`ab*?[]^-\`, `aabb*[\`},
		"prefixes and suffixes":  {`aaabbb*`, `ab`},
		"long runs of one byte":  {`aaaaaaaaaaa*`, `a`},
		"few marks, wide forks":  {"abcdefgh\x00\xff.**?", "abcdefgh\x00\xff."},
		"nearly nothing but any": {`****?a`, `ab`},
	}
	for name, of := range alphabets {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			pick := func(alphabet string, most int) string {
				out := make([]byte, random.IntN(most+1))
				for i := range out {
					out[i] = alphabet[random.IntN(len(alphabet))]
				}
				return string(out)
			}
			s, hits := &scanned{}, 0
			for range 10 {
				full := 1 + random.IntN(150)
				for range 500 {
					if glob := pick(of[0], 9); len(s.all) < full && !s.has(glob) {
						s.add(glob)
					} else if len(s.all) > 0 && random.IntN(2) == 0 {
						s.remove(random.IntN(len(s.all)))
					}
					hits += s.compare(t, pick(of[1], 12))
				}
				require.Equal(t, len(s.all), requireSound(t, &s.root, true))
				for random.IntN(3) > 0 && len(s.all) > 0 {
					s.remove(random.IntN(len(s.all)))
					requireSound(t, &s.root, true)
				}
			}
			for len(s.all) > 0 {
				s.remove(random.IntN(len(s.all)))
				requireSound(t, &s.root, true)
			}
			requireNoPatterns(t, &s.patternIndex)
			assert.Greater(t, hits, 500, "random pairs that never match would prove nothing")
		})
	}
}

func FuzzIndex(f *testing.F) {
	f.Add("a*\n*b\na*b\n**\na\\*b\n[a]*b\n\nab", "ab", uint64(1))
	f.Add("aa*aa\naa*a\na*aa\n*aa\naaa*", "aaa", uint64(2))
	f.Fuzz(func(t *testing.T, globs, topic string, seed uint64) {
		s, random := &scanned{}, rand.New(rand.NewPCG(seed, 4))
		for glob := range strings.SplitSeq(globs, "\n") {
			if !s.has(glob) && len(s.all) < 100 && len(glob) < 100 {
				s.add(glob)
			}
		}
		for topic = topic[:min(len(topic), 100)]; len(s.all) > 0; s.remove(random.IntN(len(s.all))) {
			s.compare(t, topic)
			s.compare(t, s.all[random.IntN(len(s.all))].name)
			require.Equal(t, len(s.all), requireSound(t, &s.root, true))
		}
		requireNoPatterns(t, &s.patternIndex)
	})
}

func TestShapeOfAGlob(t *testing.T) {
	tests := []struct {
		glob, prefix, suffix string
		shape
	}{
		{``, ``, ``, shape{literal: true}},
		{`news`, `news`, ``, shape{minLen: 4, literal: true}},
		{`a\*b\`, `a*b\`, ``, shape{minLen: 4, literal: true}},
		{`*`, ``, ``, shape{minLen: 1}},
		{`***`, ``, ``, shape{minLen: 1}},
		{`user.*`, `user.`, ``, shape{minLen: 5}},
		{`*.error`, ``, `.error`, shape{minLen: 6}},
		{`a\?**\[b`, `a?`, `[b`, shape{minLen: 4}},
		{`a?`, `a`, ``, shape{minLen: 2, needsMatch: true}},
		{`a[*?]b`, `a`, `b`, shape{minLen: 3, needsMatch: true}},
		{`a[b`, `a`, ``, shape{minLen: 2, needsMatch: true}},
		{`a*b*c`, `a`, `c`, shape{minLen: 3, needsMatch: true}},
		{`*b*`, ``, ``, shape{minLen: 1, needsMatch: true}},
		{`*?*`, ``, ``, shape{minLen: 1, needsMatch: true}},
	}
	for _, test := range tests {
		prefix, suffix, s := shapeOf(test.glob)
		assert.Equal(t, test.prefix, prefix, "prefix of %s", test.glob)
		assert.Equal(t, test.suffix, suffix, "suffix of %s", test.glob)
		assert.Equal(t, test.shape, s, test.glob)
	}
}

// The point of it all: patterns that differ in a prefix or a suffix are never tried together, nor by Match.
func TestPatternsWithDifferentEndsHangApart(t *testing.T) {
	for _, form := range []string{"user.%d.*", "*.%d", "user.*.%d", "%d.*.error", "%d"} {
		x := &patternIndex{}
		for i := range 1000 {
			a := &subscriberSet{name: fmt.Sprintf(form, i)}
			x.add(a)
			require.Same(t, a.entry, a.entry.node.patterns)
			require.Nil(t, a.entry.next, a.name)
			require.False(t, a.entry.needsMatch, a.name)
		}
	}
}

// A node that two patterns share must not keep the bytes of the one that left.
func TestIndexKeepsNothingOfAPatternThatLeft(t *testing.T) {
	s := &scanned{}
	s.add("ab" + strings.Repeat("x", 4000) + "*")
	s.add("abc*")
	s.add("abd*")
	s.remove(0)
	require.Len(t, s.root.children, 1)
	assert.Equal(t, "ab", s.root.children[0].label)
	s.remove(0)
	assert.Equal(t, "abd", s.root.children[0].label)
	assert.Empty(t, s.root.children[0].children)
}

func TestALookUpDoesNotAllocate(t *testing.T) {
	x := &patternIndex{}
	for _, glob := range []string{"news.*.goal", "*goal", "news.*", "news.?port.*", "*"} {
		x.add(&subscriberSet{name: glob})
	}
	topic := []byte("news.sport.goal")
	to := x.appendMatches(nil, topic)
	assert.Len(t, to, 5)
	assert.Zero(t, testing.AllocsPerRun(100, func() { to = x.appendMatches(to[:0], topic) }))
}

package broker

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// steppedMatch is how Match worked at first: it walks both once, and comes back to the last star. It takes up to the
// length of the glob times that of the topic, and is an oracle for long globs, where plainMatch would not end.
func steppedMatch(glob string, topic []byte) bool {
	if len(topic) == 0 {
		return glob == ""
	}
	g, t := 0, 0
	star, mark := -1, 0 // where the last star stands, and what of the topic it has taken
	for t < len(topic) {
		if g < len(glob) && glob[g] == '*' {
			star, mark = g, t
			g++
			piece, plain := literalPrefix(glob[g:])
			switch {
			case !plain:
			case g+len(piece) == len(glob):
				return len(piece) <= len(topic)-t && string(topic[len(topic)-len(piece):]) == piece
			default:
				i := strings.Index(unsafeString(topic[t:]), piece)
				if i < 0 {
					return false
				}
				g, t = g+len(piece), t+i+len(piece)
			}
			continue
		}
		if g < len(glob) {
			if next, ok := matchElement(glob, g, topic[t]); ok {
				g, t = next, t+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		g, t = star+1, mark
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}

// longPair makes a long glob of few kinds of elements, and a topic that it may well match: each element gets a byte that
// it takes, most of the time.
func longPair(random *rand.Rand, elements int) (glob string, topic []byte) {
	kinds := []struct{ element, takes string }{
		{"a", "a"}, {"b", "b"}, {"?", "ab\xff"}, {"[ab]", "ab"}, {"[^b]", "a\x00"}, {`\*`, "*"}, {"[a-\xff]", "b\xfe"}, {"[*]", "*"},
		{"[\x00-@]", "\x00@"}, {`[\]b]`, "]"},
	}
	for range elements {
		switch kind := kinds[random.IntN(len(kinds))]; random.IntN(40) {
		case 0:
			glob += "*"
			topic = append(topic, strings.Repeat("ab", random.IntN(20))...)
		case 1:
			if random.IntN(8) == 0 {
				topic = append(topic, 'x')
			}
		default:
			glob += kind.element
			topic = append(topic, kind.takes[random.IntN(len(kind.takes))])
		}
	}
	return glob, topic
}

func TestMatchAgreesWithSteppingOnLongGlobs(t *testing.T) {
	random := rand.New(rand.NewPCG(seedFor(t), 2))
	var m Matcher
	hits := 0
	for range 3000 {
		glob, topic := longPair(random, 1+random.IntN(400))
		glob, topic = "*"+glob+"*", append([]byte("ba"), topic...)
		want := steppedMatch(glob, topic)
		require.Equal(t, want, m.Match(glob, topic), "glob %q, topic %q", glob, topic)
		if want {
			hits++
		}
	}
	assert.Greater(t, hits, 300)
	assert.Less(t, hits, 2900)
}

func TestLongSearchLooksAtEachTopicAnew(t *testing.T) {
	var m Matcher
	glob := "*" + strings.Repeat("[ab]", 70) + "*"
	assert.True(t, m.Match(glob, []byte(strings.Repeat("a", 100))))
	assert.True(t, m.Match(glob, []byte(strings.Repeat("b", 100))), "with the masks of the topic before it would not")
	assert.False(t, m.Match(glob, []byte(strings.Repeat("c", 100))))
	assert.True(t, m.Match(glob+"x"+glob, []byte(strings.Repeat("a", 100)+"x"+strings.Repeat("b", 70))), "two long pieces")
}

// worst are globs of 2 KB that were tried at each place of a topic of 4 KB: four to eight million steps each.
func worst() map[string]string {
	return map[string]string{
		"question marks":           "*" + strings.Repeat("?", 2045) + "b*",
		"question marks, anchored": "*" + strings.Repeat("?", 2045) + "b",
		"small sets":               "*" + strings.Repeat("[ab]", 511) + "c*",
		"open sets":                "*" + strings.Repeat("[^x]", 511) + "x*",
		"one large set":            "*[" + strings.Repeat("b", 2044) + "]*",
		"escapes":                  "*" + strings.Repeat(`\a`, 1022) + "b*",
		"many short pieces":        "*" + strings.Repeat("?b[a]aaaaaaaaaaa*", 120),
		"many long pieces":         "*" + strings.Repeat("aaaaaaaaaaaaaaa[a]*", 100) + "?b*",
		"wide ranges":              "*" + strings.Repeat("[\x00-\xff]", 409) + "\x00x*",
	}
}

func TestNoGlobTakesTheLengthOfTheGlobTimesThatOfTheTopic(t *testing.T) {
	every := make([]byte, 4096)
	for i := range every {
		every[i] = byte(i)
	}
	for name, glob := range worst() {
		for _, topic := range [][]byte{[]byte(strings.Repeat("a", 4096)), every} {
			var m Matcher
			require.Equal(t, steppedMatch(glob, topic), m.Match(glob, topic), name)
			assert.Less(t, m.Steps, 200_000, "%s: 200 such globs are 40 million steps at most", name)
		}
	}
}

func TestOrdinaryGlobsTakeFewSteps(t *testing.T) {
	for _, glob := range []string{"news.*", "*.football", "news.*.football", "*sport*", "news.*.foot?al[k-m]", "*s[op]ort*b?ll"} {
		var m Matcher
		m.Match(glob, []byte("news.sport.football"))
		assert.Less(t, m.Steps, 64, glob)
	}
}

func TestAMatcherKeepsLittle(t *testing.T) {
	topic := make([]byte, 64<<10)
	for i := range topic {
		topic[i] = byte(i)
	}
	var m Matcher
	assert.True(t, m.Match("*"+strings.Repeat("[^x]", 250)+"*", topic))
	assert.NotEmpty(t, m.long.masks)
	assert.False(t, m.Match("*"+strings.Repeat("[^x]", 60<<10)+"*", topic))
	assert.Nil(t, m.long.masks, "those of a giant topic are let go")
	glob := "*" + strings.Repeat("[^x]", 250) + "*"
	m.Match(glob, topic)
	assert.Zero(t, testing.AllocsPerRun(10, func() { m.Match(glob, topic) }))
}

// FuzzLongGlobs holds Match against stepping, where FuzzMatch may not go.
func FuzzLongGlobs(f *testing.F) {
	for _, glob := range worst() {
		f.Add(glob[:min(len(glob), 200)], []byte(strings.Repeat("ab", 200)))
	}
	f.Add("*[ab]aaaaaaaaaaaaaaaaaaaa*b[^a-]cccccccccccccccc*[", []byte("baaaaaaaaaaaaaaaaaaaaab]cccccccccccccccccc"))
	f.Fuzz(func(t *testing.T, glob string, topic []byte) {
		if len(glob) > 1<<10 || len(topic) > 1<<10 {
			return
		}
		var m Matcher
		require.Equal(t, steppedMatch(glob, topic), m.Match(glob, topic), "glob %q, topic %q", glob, topic)
		require.Less(t, m.Steps, 8<<20)
		require.Equal(t, steppedMatch("*"+glob+"*", topic), m.Match("*"+glob+"*", topic), "glob *%q*, topic %q", glob, topic)
	})
}

// BenchmarkMatch is globs as people write them, and the worst ones.
func BenchmarkMatch(b *testing.B) {
	long := strings.Repeat("a", 4096)
	for _, c := range []struct{ name, glob, topic string }{
		{"literal", "news.sport.football", "news.sport.football"},
		{"prefix", "news.*", "news.sport.football"},
		{"suffix", "*.football", "news.sport.football"},
		{"both", "news.*.football", "news.sport.football"},
		{"middle", "*sport*", "news.sport.football"},
		{"middle, not", "*chess*", "news.sport.football"},
		{"three stars", "news.*.sport.*.eu.*", "news.world.sport.football.eu.uk"},
		{"marks at the end", "news.*.foot?al[k-m]", "news.sport.football"},
		{"marks in the middle", "*s[op]ort*b?ll", "news.sport.football"},
		{"marks, not", "news.*.[xyz]?*", "news.sport.football"},
		{"marks, long name", "*x[yz]?*", long},
		{"laborious at the end", "*" + strings.Repeat("?", 2045) + "b", long},
		{"laborious in the middle", "*" + strings.Repeat("?", 2045) + "b*", long},
		{"laborious sets", "*" + strings.Repeat("[ab]", 511) + "c*", long},
		{"a long set", "*[" + strings.Repeat("b", 2044) + "]*", long},
	} {
		topic := []byte(c.topic)
		b.Run(c.name, func(b *testing.B) {
			var m Matcher
			for b.Loop() {
				m.Match(c.glob, topic)
			}
		})
		b.Run("old "+c.name, func(b *testing.B) {
			for b.Loop() {
				steppedMatch(c.glob, topic)
			}
		})
	}
}

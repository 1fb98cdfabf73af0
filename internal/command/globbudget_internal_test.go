package command

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// matchedOf counts how many names of a kind a glob is held against before that is too much, up to most.
func matchedOf(glob, name string, most int) int {
	g := newGlob(glob)
	for n := range most {
		g.matches(name)
		if g.err() != nil {
			return n
		}
	}
	return most
}

func TestGlobWork(t *testing.T) {
	long := strings.Repeat("a", 4000)
	for _, test := range []struct {
		sentence, glob, name string
		least, most          int
	}{
		{"ordinary globs and names cost nothing that counts", "news.*.foot?al[k-m]", "news.sport.football", 1 << 15, 1 << 15},
		{"nor do ordinary globs and long names", "*a?b", long + "a", 1 << 15, 1 << 15},
		{"bytes behind a star are read once", "*" + long[:2000] + "b", long, 8000, 1 << 15},
		{"a long piece with marks takes 64 elements at a time", "*" + long[:2000] + "?b*", long, 60, 200},
		{"so do sets", "*" + strings.Repeat("[^x]", 1000) + "b*", long, 60, 300},
		{"at the end it has one place", "*" + long[:2000] + "?b", long, 4000, 1 << 15},
	} {
		n := matchedOf(test.glob, test.name, 1<<15)
		assert.GreaterOrEqual(t, n, test.least, test.sentence)
		assert.LessOrEqual(t, n, test.most, test.sentence)
	}
}

func TestNothingMatchesWhenGlobsHaveCostTooMuch(t *testing.T) {
	g := newGlob("*")
	assert.True(t, g.matches("a"))
	g.left = -1
	assert.False(t, g.matches("a"))
	assert.NotNil(t, g.err())
}

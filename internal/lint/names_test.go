package lint

import (
	"go/ast"
	"iter"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
)

// banned are words without meaning in a name.
var banned = []string{"hub", "manager", "session", "helper", "util"}

func TestNoNameIsEmpty(t *testing.T) {
	all, files := sources(t)
	for _, s := range all {
		for name := range names(s.tree) {
			word, ok := emptyWord(name.Name)
			assert.False(t, ok, "%s: %s says %q: say what it is", files.Position(name.Pos()), name.Name, word)
		}
	}
}

// names yields the names that a file declares or uses, except those after a dot, which another package may declare.
func names(tree *ast.File) iter.Seq[*ast.Ident] {
	return func(yield func(*ast.Ident) bool) {
		foreign := map[*ast.Ident]bool{}
		for n := range ast.Preorder(tree) {
			if selector, ok := n.(*ast.SelectorExpr); ok {
				foreign[selector.Sel] = true
			}
			if name, ok := n.(*ast.Ident); ok && !foreign[name] && !yield(name) {
				return
			}
		}
	}
}

// emptyWord finds a banned word among those of a name.
func emptyWord(name string) (word string, ok bool) {
	for _, word := range words(name) {
		if slices.Contains(banned, word) {
			return word, true
		}
	}
	return "", false
}

// words splits a camelCase name, in lower case: HTTPHub2 is http, hub, 2.
func words(name string) []string {
	var out []string
	runes := []rune(name)
	start := 0
	for i := 1; i <= len(runes); i++ {
		if i < len(runes) && !startsWord(runes, i) {
			continue
		}
		if word := strings.Trim(string(runes[start:i]), "_"); word != "" {
			out = append(out, strings.ToLower(word))
		}
		start = i
	}
	return out
}

func startsWord(runes []rune, i int) bool {
	before, here := runes[i-1], runes[i]
	switch {
	case here == '_' || before == '_':
		return true
	case unicode.IsUpper(here):
		return !unicode.IsUpper(before) || i+1 < len(runes) && unicode.IsLower(runes[i+1])
	}
	return unicode.IsDigit(here) != unicode.IsDigit(before)
}

func TestWords(t *testing.T) {
	tests := map[string][]string{
		"hub":          {"hub"},
		"topicHub":     {"topic", "hub"},
		"HubOfTopics":  {"hub", "of", "topics"},
		"HTTPHub2":     {"http", "hub", "2"},
		"test_helper":  {"test", "helper"},
		"subscriberID": {"subscriber", "id"},
		"_":            nil,
	}
	for name, want := range tests {
		assert.Equal(t, want, words(name), name)
	}
	for _, name := range []string{"connManager", "Session", "util", "sessionID", "hubOfAll"} {
		_, ok := emptyWord(name)
		assert.True(t, ok, name)
	}
	for _, name := range []string{"hubris", "utility", "manage", "obsession", "subscriber", "managers"} {
		_, ok := emptyWord(name)
		assert.False(t, ok, name)
	}
}

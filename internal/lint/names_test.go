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

// empty are words without meaning in a name. A session is what a page of the console has that signed in, and nothing else.
var empty = []string{"hub", "manager", "helper", "util"}

// banned are words that the glossary in CONTRIBUTING.md has replaced, with the word for the same thing. An entry of two
// words is found in names such as letGo.
var banned = map[string]string{
	// broker
	"audience": "subscriber set", "audiences": "subscriber set", "seat": "membership", "seats": "membership",
	"narrow": "filtered", "narrows": "filtered", "widen": "filtered", "circle": "predicate set", "circles": "predicate set",
	"tally": "counts", "tallies": "counts", "holdings": "subscriptions", "condemn": "schedule eviction",
	"condemned": "evicting", "squeeze": "compact", "laborious": "may backtrack", "tangled": "multiple",
	"meant": "receivers", "everyone": "all receivers", "let go": "clear", "urgent": "starved", "calm": "clear starved",
	"parking": "retry state", "brings": "adds", "said": "verdict", "hear": "record", "judge": "evaluate", "judged": "evaluated",
	"ask": "request", "asks": "request", "asked": "requested", "learn": "put",

	// protocol and server
	"wire": "conn, or format", "wires": "conns, or formats", "press": "encoder", "impression": "encoded",
	"impressions": "encoded", "hand": "write queue", "hands": "write queue", "handed": "sent", "hole": "gap", "holes": "gaps",
	"torn": "gap", "parting": "close notice", "farewell": "close notice", "farewells": "close notice",
	"dismiss": "close", "dismissed": "closed", "errand": "file task", "errands": "file tasks", "visitor": "core call",
	"visitors": "core calls", "stranger": "unauthenticated", "strangers": "unauthenticated", "guest": "unauthenticated",
	"guests": "unauthenticated", "greet": "handshake", "greeter": "dialer", "guesses": "failures", "booked": "counted",
	"forfeit": "discard", "spoil": "abort", "spoiled": "aborted, or corrupt", "ample": "large reply", "prose": "verbatim",
	"greediest": "largest", "relieve": "evict", "ciphered": "TLS transport", "question": "predicate list",
	"tell": "write", "tells": "writes", "told": "reported", "forget": "remove", "spelt": "expanded",

	// client, acl, filter and the commands
	"heed": "handle", "pulse": "ping", "lane": "conn", "lanes": "conns", "blame": "cause", "clogged": "backlog",
	"faded": "expired", "untaken": "unreturned", "barred": "forbidden", "blurred": "redacted", "needless": "exempt",
	"alike": "same type", "intake": "input", "leftover": "unacked", "leftovers": "unacked", "unseen": "untracked",
	"logbook": "logger", "neighbor": "address", "clash": "same address", "ceiling": "baseline", "whoever": "client",
	"whose": "of", "nobody": "no receiver", "everybody": "all receivers", "somebody": "a client",
}

// leaving are names with such words that are kept for now. They may be exported or not.
var leaving = []string{
	"asked",
}

func TestNames(t *testing.T) {
	all, files := sources(t)
	found := make(map[string]bool)
	for _, s := range all {
		for name := range names(s.tree) {
			unexported := strings.ToLower(name.Name[:1]) + name.Name[1:]
			if slices.Contains(leaving, unexported) {
				found[unexported] = true
				continue
			}
			word, instead := bannedWord(name.Name)
			assert.Empty(t, word, "%s: the name %s has %q; better: %s", files.Position(name.Pos()), name.Name, word, instead)
		}
	}
	for _, name := range leaving {
		assert.True(t, found[name], "nothing is called %s any more: take it out of the list", name)
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

// bannedWord finds a word of a name that is not to be used, and what to use.
func bannedWord(name string) (word, instead string) {
	all := words(name)
	for i, word := range all {
		if slices.Contains(empty, word) {
			return word, "what it is"
		}
		if instead, ok := banned[word]; ok {
			return word, instead
		}
		if i > 0 {
			two := all[i-1] + " " + word
			if instead, ok := banned[two]; ok {
				return two, instead
			}
		}
	}
	return "", ""
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
}

func TestBannedWord(t *testing.T) {
	for name, want := range map[string]string{
		"connManager": "manager", "util": "util", "hubOfAll": "hub",
		"audience": "audience", "openCircle": "circle", "maxSeats": "seats", "wire": "wire", "letGo": "let go", "LetGoAll": "let go",
		"sendFarewell": "farewell", "HTTPVisitor": "visitor", "askTwice": "ask", "noCeiling": "ceiling",
	} {
		word, instead := bannedWord(name)
		assert.Equal(t, want, word, name)
		assert.NotEmpty(t, instead, name)
	}
	for _, name := range []string{
		"hubris", "utility", "manage", "obsession", "subscriber", "managers", "handler", "handle", "wired", "let", "go", "outletGo",
		"suppress", "task", "airplane", "seated", "narrowest",
	} {
		word, _ := bannedWord(name)
		assert.Empty(t, word, name)
	}
}

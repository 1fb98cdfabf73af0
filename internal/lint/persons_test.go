package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection is a client, a subscriber, a publisher: comments and texts name it, and do not speak of it as of a person.
// "whose" is for things; the name of a verb, WHO, has capitals or stands in quotes alone.
var (
	person  = regexp.MustCompile(`\b([Ww]ho|[Ww]hom|[Ww]hoever|[Ww]homever|[Nn]obody|[Ss]omebody|[Ee]verybody|[Aa]nybody|[Ss]omeone|[Ee]veryone|[Aa]nyone)\b`)
	ofOne   = regexp.MustCompile(`\b(clients?|subscribers?|publishers?|conns?|connections?|peers?|users?) whose\b|^Whose\b|\. Whose\b`)
	persons = regexp.MustCompile(`\bpeople,? who\b`) // who type lines
)

func TestNoPersons(t *testing.T) {
	all, files := sources(t)
	for _, s := range all {
		for at, text := range sentences(s.tree) {
			assert.Empty(t, findPerson(text), "%s: name the client, the subscriber or the publisher", files.Position(at))
		}
	}
}

// sentences returns the comments and the texts of a file, by position. A text of one word is a name.
func sentences(tree *ast.File) map[token.Pos]string {
	found := make(map[token.Pos]string)
	for _, group := range tree.Comments {
		var text strings.Builder // of all lines: a sentence may go on in the next
		for _, c := range group.List {
			text.WriteString(strings.TrimPrefix(c.Text, "//"))
		}
		found[group.Pos()] = text.String()
	}
	for n := range ast.Preorder(tree) {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			continue
		}
		if text, err := strconv.Unquote(literal.Value); err == nil && strings.Contains(strings.TrimSpace(text), " ") {
			found[literal.Pos()] = text
		}
	}
	return found
}

// findPerson returns the word that makes a connection a person, or an empty string.
func findPerson(text string) string {
	text = persons.ReplaceAllString(text, "people")
	if word := ofOne.FindString(text); word != "" {
		return word
	}
	return person.FindString(text)
}

func TestFindPerson(t *testing.T) {
	for text, want := range map[string]string{
		"// Whoever publishes waits.":               "Whoever",
		"// the message reaches nobody":             "nobody",
		"// a client whose buffer is full":          "client whose",
		"// It is closed. Whose turn is it?":        ". Whose",
		"// everybody waits":                        "everybody",
		"// a topic whose prefix is long":           "",
		"// WHO topic, PUBSUB WHO":                  "",
		"// people who type lines":                  "",
		"// the whole, whole messages, a wholesome": "",
	} {
		assert.Equal(t, want, findPerson(text), text)
	}
}

func TestSentences(t *testing.T) {
	const code = "// Package p is\n// one.\npackage p\n\nconst who, text = \"who\", \"it is who?\" // behind\n"
	tree, err := parser.ParseFile(token.NewFileSet(), "p.go", code, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	var found []string
	for _, text := range sentences(tree) {
		found = append(found, text)
	}
	assert.ElementsMatch(t, []string{" Package p is one.", "it is who?", " behind"}, found)
}

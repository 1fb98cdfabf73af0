package filter

import (
	"bytes"
	"strings"

	"github.com/expr-lang/expr/parser"
)

// Verdict is what a predicate says about a message.
type Verdict uint8

// Yes alone is a match.
const (
	No         Verdict = iota
	Yes                // the message matches
	Unreadable         // no match, because a field is missing, of another type, or not a number that can be counted with
)

func (v Verdict) String() string { return [...]string{"no", "yes", "unreadable"}[v] }

// verdict is what a comparison says.
func verdict(holds bool) Verdict {
	if holds {
		return Yes
	}
	return No
}

// Split parts "orders WHERE price > 100" at its first " WHERE ". Without one, ok is false and topic is the whole name.
// Either part may be empty: Compile refuses the empty expression, the caller the empty topic. Both alias name.
func Split(name []byte) (topic, expression []byte, ok bool) {
	return bytes.Cut(name, []byte(" WHERE "))
}

// Predicate is a compiled expression. It never changes, and any number of goroutines may match with it at once. Two are
// the same if their pointers are; a Cache makes equal texts the same.
type Predicate struct {
	expression string
	test       condition
	visits     int // that were compiled: see compiler.visit
}

// Compile reads an expression. The error is an *Error. What it costs is bounded by the limits on Expression and Nodes;
// the others play no part here.
func Compile(expression string, l Limits) (*Predicate, error) {
	test, parts, err := compile(expression, l)
	if err != nil {
		return nil, err // an *Error: returned as it is only here, so that a nil one never becomes a non-nil error
	}
	return &Predicate{strings.Clone(expression), test, parts}, nil
}

func compile(expression string, l Limits) (test condition, parts int, err *Error) {
	if err := scan(expression, l); err != nil {
		return nil, 0, err
	}
	// The scan leaves the parser little to stumble over. Should it still panic, that is one more thing that it cannot
	// read, and not the end of a server.
	defer func() {
		if recover() != nil {
			test, parts, err = nil, 0, errorAt(0, "this cannot be read")
		}
	}()
	tree, broken := parser.Parse(expression)
	if broken != nil {
		return nil, 0, parseError(expression, broken)
	}
	c := &compiler{source: []rune(expression), visitsLeft: l.nodes()}
	t, err := c.expect(tree.Node, boolean, "a predicate")
	if err != nil {
		return nil, 0, err
	}
	return t.condition(), l.nodes() - c.visitsLeft, nil
}

// MemSize is how many bytes of memory a predicate takes, about: rather more than less. Its text is there several times, and
// each part has become a closure and what that holds; of a long array, an entry in a map.
func (p *Predicate) MemSize() int { return 256 + 5*len(p.expression) + 112*p.visits }

// String is the expression as it was written.
func (p *Predicate) String() string { return p.expression }

// Match holds the predicate against a message.
func (p *Predicate) Match(m *Message) Verdict { return p.test(m) }

package filter

import (
	"bytes"
	"strings"

	"github.com/expr-lang/expr/parser"
)

// Verdict is the result of a predicate for a message.
type Verdict uint8

// The verdicts. Only Yes is a match.
const (
	No         Verdict = iota
	Yes                // the message matches
	Unreadable         // no match: a field is missing, of another type, or an unrepresentable number
)

func (v Verdict) String() string { return [...]string{"no", "yes", "unreadable"}[v] }

// verdict is the verdict of a comparison.
func verdict(holds bool) Verdict {
	if holds {
		return Yes
	}
	return No
}

// Split splits "orders WHERE price > 100" at the first " WHERE ". Without one, ok is false and topic is the whole name.
// Either part may be empty: Compile rejects an empty expression, the caller an empty topic. Both alias name.
func Split(name []byte) (topic, expression []byte, ok bool) {
	return bytes.Cut(name, []byte(" WHERE "))
}

// Predicate is a compiled expression. It is immutable and safe for concurrent use. Its identity is its pointer; a Cache
// returns one pointer for equal texts.
type Predicate struct {
	expression string
	test       condition
	visits     int // compiled parts: see compiler.visit
}

// Compile compiles an expression. The error is an *Error. Limits.Expression and Limits.Nodes bound the cost; the other
// limits have no effect here.
func Compile(expression string, l Limits) (*Predicate, error) {
	test, parts, err := compile(expression, l)
	if err != nil {
		return nil, err // only a non-nil *Error may become an error: a nil one would compare unequal to nil
	}
	return &Predicate{strings.Clone(expression), test, parts}, nil
}

func compile(expression string, l Limits) (test condition, parts int, err *Error) {
	if err := scan(expression, l); err != nil {
		return nil, 0, err
	}
	// After the scan the parser should never panic. If it does, the expression is invalid, and the server goes on.
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

// MemSize estimates the memory of a predicate in bytes, rather too high. It counts several copies of the text, and for
// each part a closure with its variables, or an entry in the map of a long array.
func (p *Predicate) MemSize() int { return 256 + 5*len(p.expression) + 112*p.visits }

// String returns the source text.
func (p *Predicate) String() string { return p.expression }

// Match evaluates the predicate for a message.
func (p *Predicate) Match(m *Message) Verdict { return p.test(m) }

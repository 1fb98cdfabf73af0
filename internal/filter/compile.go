package filter

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// condition is a compiled boolean expression, operand any other. The bool of an operand is false for Unreadable.
type (
	condition func(m *Message) Verdict
	operand   func(m *Message) (value, bool)
)

// term is a compiled part of an expression: read, or test for a boolean operator.
type term struct {
	kinds    kind      // its possible kinds
	read     operand   // nil with test
	test     condition // set by operators whose result is a boolean
	constant bool      // reads no message
}

// condition returns the term as a condition.
func (t term) condition() condition {
	if t.test != nil {
		return t.test
	}
	read := t.read
	return func(m *Message) Verdict {
		v, ok := read(m)
		if !ok || v.kind != boolean {
			return Unreadable
		}
		return v.verdict()
	}
}

// operand returns the term as an operand.
func (t term) operand() operand {
	if t.read != nil {
		return t.read
	}
	test := t.test
	return func(m *Message) (value, bool) {
		v := test(m)
		return boolValue(v == Yes), v != Unreadable
	}
}

func constant(v value) term {
	return term{kinds: v.kind, constant: true, read: func(*Message) (value, bool) { return v, true }}
}

func test(c condition) term { return term{kinds: boolean, test: c} }

// compiler compiles the tree of one expression into closures. In the parser's tree two parents may share a child (b in
// a < b < c), so visits bound the cost of compiling and matching, not nodes.
type compiler struct {
	source     []rune
	visitsLeft int
}

// visit counts one part and fails at the limit.
func (c *compiler) visit(n ast.Node) *Error {
	if c.visitsLeft--; c.visitsLeft < 0 {
		return errorAt(start(n), "the expression has too many parts: split it into several subscriptions")
	}
	return nil
}

// expect compiles an operand, and fails if none of its kinds is among those that the operator accepts.
func (c *compiler) expect(n ast.Node, want kind, operator string) (term, *Error) {
	if choice, ok := n.(*ast.ConditionalNode); ok {
		return c.choice(choice, want, operator)
	}
	t, err := c.term(n)
	if err != nil {
		return term{}, err
	}
	if t.kinds&want == 0 {
		return term{}, errorAt(start(n), "%s needs %s, and this is %s%s", operator, describeKind(want), t.kinds, precedenceHint(n))
	}
	return t, nil
}

// precedenceHint explains the error of not a == b, which means (not a) == b.
func precedenceHint(n ast.Node) string {
	if u, ok := n.(*ast.UnaryNode); ok && u.Operator != "-" {
		return ": " + u.Operator + " binds tighter, so put all that it negates in parentheses"
	}
	return ""
}

// describeKind names the kinds that an operator accepts.
func describeKind(want kind) string {
	switch want {
	case boolean:
		return "a condition (a boolean)"
	case number:
		return "a number"
	case str:
		return "a string"
	case number | str:
		return "numbers or strings"
	}
	return "numbers, strings or booleans"
}

// start is the offset of a term, or of its operator.
func start(n ast.Node) int {
	switch n := n.(type) {
	case *ast.MemberNode:
		return start(n.Node)
	case *ast.SliceNode:
		return start(n.Node)
	case *ast.ConditionalNode:
		return start(n.Cond)
	}
	return n.Location().From
}

func (c *compiler) term(n ast.Node) (term, *Error) {
	if err := c.visit(n); err != nil {
		return term{}, err
	}
	switch n := n.(type) {
	case *ast.BoolNode:
		return constant(boolValue(n.Value)), nil
	case *ast.IntegerNode:
		return constant(intValue(int64(n.Value))), nil
	case *ast.FloatNode:
		return c.float(n)
	case *ast.StringNode:
		return constant(strValue(n.Value)), nil
	case *ast.IdentifierNode, *ast.MemberNode:
		return c.field(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.choice(n, anyKind, "?:")
	case *ast.NilNode:
		return term{}, errorAt(start(n), "nil can only be compared, with == or !=")
	case *ast.ArrayNode:
		return term{}, errorAt(start(n), "an array can only stand behind in")
	}
	return term{}, errorAt(start(n), "this is not available in predicates: neither are slices, maps and closures")
}

// float parses the source text again, because 100.0 is an integer here.
func (c *compiler) float(n *ast.FloatNode) (term, *Error) {
	at := n.Location()
	v, ok := literal(string(c.source[at.From:at.To]))
	if !ok {
		return term{}, errorAt(at.From, "this is not a number, or too large for one")
	}
	return constant(v), nil
}

func (c *compiler) unary(n *ast.UnaryNode) (term, *Error) {
	switch n.Operator {
	case "!", "not":
		t, err := c.expect(n.Node, boolean, n.Operator)
		if err != nil {
			return term{}, err
		}
		return test(not(t.condition())), nil
	case "-":
		t, err := c.expect(n.Node, number, "-")
		if err != nil {
			return term{}, err
		}
		return c.arithmeticTerm(n, "-", constant(intValue(0)), t)
	}
	return term{}, errorAt(start(n), "leave the %s out", n.Operator)
}

func not(c condition) condition {
	return func(m *Message) Verdict {
		switch c(m) {
		case Yes:
			return No
		case No:
			return Yes
		}
		return Unreadable
	}
}

func (c *compiler) binary(n *ast.BinaryNode) (term, *Error) {
	switch n.Operator {
	case "&&", "and", "||", "or":
		return c.logic(n)
	case "==", "!=":
		return c.equality(n)
	case "<", "<=", ">", ">=":
		return c.order(n)
	case "+", "-", "*", "/", "%":
		l, r, err := c.both(n, number)
		if err != nil {
			return term{}, err
		}
		return c.arithmeticTerm(n, n.Operator, l, r)
	case "in":
		return c.membership(n)
	case "contains":
		return c.stringTest(n, contains)
	case "startsWith":
		return c.stringTest(n, strings.HasPrefix)
	case "endsWith":
		return c.stringTest(n, strings.HasSuffix)
	}
	return term{}, errorAt(start(n), "%s is not available in predicates", n.Operator)
}

// both compiles the two operands of an operator that accepts the same kinds on both sides.
func (c *compiler) both(n *ast.BinaryNode, want kind) (l, r term, err *Error) {
	if l, err = c.expect(n.Left, want, n.Operator); err != nil {
		return l, r, err
	}
	r, err = c.expect(n.Right, want, n.Operator)
	return l, r, err
}

func (c *compiler) logic(n *ast.BinaryNode) (term, *Error) {
	l, r, err := c.both(n, boolean)
	if err != nil {
		return term{}, err
	}
	continueOn := Yes
	if n.Operator == "||" || n.Operator == "or" {
		continueOn = No
	}
	first, second := l.condition(), r.condition()
	return test(func(m *Message) Verdict {
		if v := first(m); v != continueOn {
			return v
		}
		return second(m)
	}), nil
}

// choice compiles condition ? this : that. Both branches must be of the wanted kinds.
func (c *compiler) choice(n *ast.ConditionalNode, want kind, operator string) (term, *Error) {
	if err := c.visit(n); err != nil {
		return term{}, err
	}
	cond, err := c.expect(n.Cond, boolean, "?:")
	if err != nil {
		return term{}, err
	}
	this, err := c.expect(n.Exp1, want, operator)
	if err != nil {
		return term{}, err
	}
	that, err := c.expect(n.Exp2, want, operator)
	if err != nil {
		return term{}, err
	}
	if this.test != nil && that.test != nil {
		return test(choose(cond.condition(), this.test, that.test)), nil
	}
	decide, yes, no := cond.condition(), this.operand(), that.operand()
	read := func(m *Message) (value, bool) {
		switch decide(m) {
		case Yes:
			return yes(m)
		case No:
			return no(m)
		}
		return value{}, false
	}
	return term{kinds: this.kinds | that.kinds, read: read}, nil
}

func choose(decide, yes, no condition) condition {
	return func(m *Message) Verdict {
		switch decide(m) {
		case Yes:
			return yes(m)
		case No:
			return no(m)
		}
		return Unreadable
	}
}

// membership compiles x in array, a literal or a field.
func (c *compiler) membership(n *ast.BinaryNode) (term, *Error) {
	l, err := c.expect(n.Left, scalar, "in")
	if err != nil {
		return term{}, err
	}
	if list, ok := n.Right.(*ast.ArrayNode); ok {
		return c.literalArray(n, list, l)
	}
	p, err := c.path(n.Right)
	switch {
	case err != nil:
		return term{}, err
	case p == nil:
		return term{}, errorAt(start(n.Right), "behind in stands an array, [1, 2] or a field; for text use contains")
	}
	read := l.operand()
	return test(func(m *Message) Verdict {
		v, ok := read(m)
		if !ok || v.kind&scalar == 0 {
			return Unreadable
		}
		of := m.lookup(p)
		if of == nil || of.value.kind != array {
			return Unreadable
		}
		return verdict(m.children(of).contains(v))
	}), nil
}

func (c *compiler) literalArray(in *ast.BinaryNode, list *ast.ArrayNode, l term) (term, *Error) {
	if err := c.visit(list); err != nil {
		return term{}, err
	}
	var elements []operand
	kinds, constants := kind(0), true
	for _, n := range list.Nodes {
		e, err := c.expect(n, scalar, "in")
		if err != nil {
			return term{}, err
		}
		elements = append(elements, e.operand())
		kinds |= e.kinds
		constants = constants && e.constant
	}
	if len(elements) > 0 && !overlap(l.kinds, kinds) {
		return term{}, errorAt(start(list), "nothing in this array is %s%s", l.kinds, precedenceHint(in.Left))
	}
	if constants {
		return test(inConstants(l.operand(), elements)), nil
	}
	return test(inOperands(l.operand(), elements)), nil
}

// inConstants compares with constants: one by one, or by a map above mapThreshold.
func inConstants(read operand, elements []operand) condition {
	list := make([]value, len(elements))
	for i, e := range elements {
		list[i], _ = e(nil)
	}
	among := func(v value) bool { return slices.Contains(list, v) }
	if len(list) > mapThreshold {
		all := map[value]struct{}{}
		for _, v := range list {
			all[v] = struct{}{}
		}
		among = func(v value) bool { _, ok := all[v]; return ok }
	}
	return func(m *Message) Verdict {
		v, ok := read(m)
		if !ok || v.kind&scalar == 0 {
			return Unreadable
		}
		return verdict(among(v))
	}
}

// inOperands reads every element, also after an equal one: a missing element makes the result Unreadable.
func inOperands(read operand, elements []operand) condition {
	return func(m *Message) Verdict {
		v, ok := read(m)
		if !ok || v.kind&scalar == 0 {
			return Unreadable
		}
		found := false
		for _, element := range elements {
			e, ok := element(m)
			if !ok {
				return Unreadable
			}
			found = found || e == v
		}
		return verdict(found)
	}
}

// overlap reports whether two terms can have the same type.
func overlap(a, b kind) bool {
	return a&b&scalar != 0 || a&number != 0 && b&number != 0
}

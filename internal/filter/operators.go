package filter

import (
	"cmp"
	"math"
	"math/bits"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// equality compiles == and !=, also with nil.
func (c *compiler) equality(n *ast.BinaryNode) (term, *Error) {
	equal := n.Operator == "=="
	_, leftNil := n.Left.(*ast.NilNode)
	_, rightNil := n.Right.(*ast.NilNode)
	switch {
	case leftNil:
		return c.isNil(n, n.Right, equal)
	case rightNil:
		return c.isNil(n, n.Left, equal)
	}
	l, r, err := c.both(n, scalar)
	if err != nil {
		return term{}, err
	}
	if !overlap(l.kinds, r.kinds) {
		return term{}, errorAt(start(n), "%s compares %s with %s, which are never equal", n.Operator, l.kinds, r.kinds)
	}
	left, right := l.operand(), r.operand()
	return test(func(m *Message) Verdict {
		a, ok := left(m)
		if !ok {
			return Unreadable
		}
		b, ok := right(m)
		if !ok || !sameType(a, b) {
			return Unreadable
		}
		return verdict((a == b) == equal)
	}), nil
}

func (c *compiler) isNil(n *ast.BinaryNode, of ast.Node, equal bool) (term, *Error) {
	t, err := c.term(of)
	switch {
	case err != nil:
		return term{}, err
	case t.kinds&null == 0:
		return term{}, errorAt(start(n), "%s is never nil", t.kinds)
	}
	read := t.operand()
	return test(func(m *Message) Verdict {
		v, ok := read(m)
		if !ok {
			return Unreadable
		}
		return verdict((v.kind == null) == equal)
	}), nil
}

// orders maps an operator to the results of compare for which it holds: bit 0 for less, 1 for equal, 2 for greater.
var orders = map[string]uint{"<": 0b001, "<=": 0b011, ">": 0b100, ">=": 0b110}

func (c *compiler) order(n *ast.BinaryNode) (term, *Error) {
	l, r, err := c.both(n, number|str)
	if err != nil {
		return term{}, err
	}
	if !overlap(l.kinds&^boolean, r.kinds&^boolean) {
		return term{}, errorAt(start(n), "%s compares %s with %s", n.Operator, l.kinds, r.kinds)
	}
	left, right, holds := l.operand(), r.operand(), orders[n.Operator]
	return test(func(m *Message) Verdict {
		a, ok := left(m)
		if !ok {
			return Unreadable
		}
		b, ok := right(m)
		if !ok || !sameType(a, b) || a.kind == boolean {
			return Unreadable
		}
		return verdict(holds>>(compare(a, b)+1)&1 == 1)
	}), nil
}

// compare compares two numbers or two strings: -1, 0, 1.
func compare(a, b value) int {
	switch {
	case a.kind == str:
		return strings.Compare(a.text, b.text)
	case a.kind == integer && b.kind == integer:
		return cmp.Compare(a.integer(), b.integer())
	case a.kind == integer:
		return compareMixed(a.integer(), b.float())
	case b.kind == integer:
		return -compareMixed(b.integer(), a.float())
	}
	return cmp.Compare(a.float(), b.float())
}

// compareMixed compares an integer and a float exactly. They are never equal: an integral float64 in range is an integer
// already, see floatValue.
func compareMixed(i int64, f float64) int {
	switch {
	case f >= -math.MinInt64:
		return -1
	case f < math.MinInt64:
		return 1
	case i <= int64(math.Floor(f)):
		return -1
	}
	return 1
}

// stringTest compiles an operator on two strings.
func (c *compiler) stringTest(n *ast.BinaryNode, holds func(s, part string) bool) (term, *Error) {
	l, r, err := c.both(n, str)
	if err != nil {
		return term{}, err
	}
	left, right := l.operand(), r.operand()
	return test(func(m *Message) Verdict {
		a, ok := left(m)
		if !ok || a.kind != str {
			return Unreadable
		}
		b, ok := right(m)
		if !ok || b.kind != str {
			return Unreadable
		}
		return verdict(holds(a.text, b.text))
	}), nil
}

// arithmeticTerm compiles an operator on two numbers. It folds constants, and fails if the result has no value.
func (c *compiler) arithmeticTerm(n ast.Node, operator string, l, r term) (term, *Error) {
	compute := arithmetic[operator]
	left, right := l.operand(), r.operand()
	read := func(m *Message) (value, bool) {
		a, ok := left(m)
		if !ok || !a.isNumber() {
			return value{}, false
		}
		b, ok := right(m)
		if !ok || !b.isNumber() {
			return value{}, false
		}
		return compute(a, b)
	}
	if !l.constant || !r.constant {
		return term{kinds: number, read: read}, nil
	}
	v, ok := read(nil)
	if !ok {
		return term{}, errorAt(start(n), "this has no value: a division by zero, a %% of fractions, or a number beyond 64 bits")
	}
	return constant(v), nil
}

// arithmetic has the functions of the operators; their bool is false for a result without a value.
var arithmetic = map[string]func(a, b value) (value, bool){
	"+": add, "-": subtract, "*": multiply, "/": divide, "%": remainder,
}

func add(a, b value) (value, bool) {
	if a.kind&b.kind != integer {
		return floatValue(a.asFloat() + b.asFloat())
	}
	x, y := a.integer(), b.integer()
	sum := x + y
	return intValue(sum), (sum > x) == (y > 0)
}

func subtract(a, b value) (value, bool) {
	if a.kind&b.kind != integer {
		return floatValue(a.asFloat() - b.asFloat())
	}
	x, y := a.integer(), b.integer()
	difference := x - y
	return intValue(difference), (difference < x) == (y > 0)
}

func multiply(a, b value) (value, bool) {
	if a.kind&b.kind != integer {
		return floatValue(a.asFloat() * b.asFloat())
	}
	x, y := a.integer(), b.integer()
	high, low := bits.Mul64(magnitude(x), magnitude(y))
	limit := uint64(math.MaxInt64)
	if (x < 0) != (y < 0) {
		limit++
	}
	return intValue(x * y), high == 0 && low <= limit
}

func magnitude(i int64) uint64 {
	if i < 0 {
		return -uint64(i)
	}
	return uint64(i)
}

func divide(a, b value) (value, bool) {
	if a.kind&b.kind == integer {
		x, y := a.integer(), b.integer()
		if y == 0 || x == math.MinInt64 && y == -1 {
			return value{}, false
		}
		if x%y == 0 {
			return intValue(x / y), true
		}
	}
	return floatValue(a.asFloat() / b.asFloat())
}

func remainder(a, b value) (value, bool) {
	if a.kind&b.kind != integer || b.integer() == 0 {
		return value{}, false
	}
	return intValue(a.integer() % b.integer()), true
}

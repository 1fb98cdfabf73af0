package filter

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// random generates expressions, most of them valid, and payloads with their fields.
type random struct{ *rand.Rand }

func (r random) pick(s ...string) string { return s[r.IntN(len(s))] }

func (r random) condition(depth int) string {
	if depth == 0 {
		return r.pick("a", "b", "true", "false", "has(a)", "has(b.a[1])", "has(c.d)", `has(header("a"))`, "d == nil", "nil != a.b")
	}
	d := depth - 1
	switch r.IntN(12) {
	case 0, 1:
		return fmt.Sprintf("(%s %s %s)", r.condition(d), r.pick("&&", "and"), r.condition(d))
	case 2, 3:
		return fmt.Sprintf("(%s %s %s)", r.condition(d), r.pick("||", "or"), r.condition(d))
	case 4:
		return r.pick("!", "not ") + "(" + r.condition(d) + ")"
	case 5:
		return fmt.Sprintf("(%s ? %s : %s)", r.condition(d), r.condition(d), r.condition(d))
	case 6:
		return fmt.Sprintf("(%s %s [%s, %s, %s])", r.scalar(d), r.pick("in", "not in"), r.scalar(0), r.scalar(0), r.scalar(0))
	case 7:
		return fmt.Sprintf("(%s %s %s)", r.scalar(d), r.pick("in", "not in"), r.field())
	case 8:
		return fmt.Sprintf("(%s %s %s)", r.text(), r.pick("contains", "startsWith", "endsWith", "not contains"), r.text())
	case 9:
		return fmt.Sprintf("(%s %s %s)", r.text(), r.pick("<", "<=", ">", ">=", "==", "!="), r.text())
	}
	return fmt.Sprintf("(%s %s %s)", r.number(d), r.pick("<", "<=", ">", ">=", "==", "!="), r.number(d))
}

func (r random) scalar(depth int) string {
	switch r.IntN(3) {
	case 0:
		return r.text()
	case 1:
		return r.pick("true", "false", "a", "b.c")
	}
	return r.number(depth)
}

func (r random) number(depth int) string {
	if depth == 0 {
		if r.IntN(2) == 0 {
			return r.field()
		}
		return r.digits()
	}
	if r.IntN(6) == 0 {
		return "-" + r.number(depth-1)
	}
	return fmt.Sprintf("(%s %s %s)", r.number(depth-1), r.pick("+", "-", "*", "/", "%"), r.number(depth-1))
}

func (r random) digits() string {
	return r.pick("0", "1", "2", "3", "1.5", "2.0", "1e2", "0.1", "100", "9007199254740992", "9007199254740993", "9007199254740993.0",
		"9223372036854775807", "9.3e18", "1e300", "5e-324", "4611686018427387904")
}

func (r random) text() string {
	if r.IntN(2) == 0 {
		return r.field()
	}
	return r.pick(`""`, `"a"`, `"ab"`, `"b"`, `"größe"`, `"😀"`, `"1"`, "topic", "payload")
}

func (r random) field() string {
	return r.pick("a", "b", "c", "d", "a.b", "b.a", "c[0]", "c[1].a", "b.c.d", `$env["a"]`, "$env.size", "size", `b["a"][0]`)
}

// json returns a JSON value, sometimes an invalid one.
func (r random) json(depth int) string {
	blank := r.pick("", "", "", " ", "\n\t")
	if depth == 0 || r.IntN(3) == 0 {
		return blank + r.pick("true", "false", "null", `""`, `"a"`, `"ab"`, `"b\u0061"`, `"\ud83d\ude00"`, `"\ud800\u0041"`, "-0", "-1",
			"9223372036854775808", "1e400", "1E2", "12.50", "-9223372036854775808", "01", r.digits(), r.digits(), r.digits(), r.digits())
	}
	var parts []string
	size := r.IntN(5)
	if r.IntN(20) == 0 {
		size = 20
	}
	isArray := r.IntN(3) == 0
	for range size {
		if v := r.json(depth - 1); isArray {
			parts = append(parts, v)
		} else {
			parts = append(parts, blank+r.pick(`"a"`, `"b"`, `"c"`, `"d"`, `"size"`, `"\u0061"`)+blank+":"+v)
		}
	}
	if isArray {
		return blank + "[" + strings.Join(parts, ",") + blank + "]"
	}
	return blank + "{" + strings.Join(parts, blank+",") + "}"
}

func (r random) payload() string {
	var parts []string
	for _, name := range []string{"a", "b", "c", "d", "size"} {
		if r.IntN(8) != 0 {
			parts = append(parts, fmt.Sprintf("%q:%s", name, r.json(r.IntN(4))))
		}
	}
	return "{" + strings.Join(parts, ",") + r.pick("}", "}", "}", "} ", "} {", "")
}

package filter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// The oracle is a second implementation of the documented rules: slow and obvious, with encoding/json, numbers of any
// size, and no cache. A value is nil, a bool, a string, a *big.Rat, []any, map[string]any or tooLarge. Unreadable ends the
// evaluation by a panic.
type oracle struct {
	topic, payload string
	source         []rune
	fields         map[string]any // nil if the payload has none
}

type (
	tooLarge   struct{}
	unreadable struct{}
)

// oracleMatch is the expected verdict of a valid expression.
func oracleMatch(expression, topic, payload string, l Limits) (v Verdict) {
	defer func() {
		if e := recover(); e != nil {
			if _, ok := e.(unreadable); !ok {
				panic(e)
			}
			v = Unreadable
		}
	}()
	tree, err := parser.Parse(expression)
	if err != nil {
		panic(err)
	}
	o := &oracle{topic: topic, payload: payload, source: []rune(expression)}
	if o.fields = oracleObject(payload, l); len(payload) > l.payload() {
		panic("the oracle is for small payloads")
	}
	return verdict(o.truth(tree.Node))
}

// oracleObject returns nil if the payload is no JSON object in UTF-8, or nested too deeply.
func oracleObject(payload string, l Limits) map[string]any {
	if !utf8.ValidString(payload) || !json.Valid([]byte(payload)) {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(payload))
	d.UseNumber()
	v, depth := oracleDecode(d)
	if depth > l.depth() {
		return nil
	}
	fields, _ := v.(map[string]any)
	return fields
}

// oracleDecode decodes one value and returns its depth.
func oracleDecode(d *json.Decoder) (v any, depth int) {
	t, err := d.Token()
	if err != nil {
		panic(err)
	}
	switch t := t.(type) {
	case json.Number:
		return oracleNumber(string(t)), 0
	case json.Delim:
		object, list := map[string]any{}, []any{}
		for d.More() {
			name := ""
			if t == '{' {
				token, err := d.Token()
				if err != nil {
					panic(err)
				}
				name = token.(string)
			}
			element, inside := oracleDecode(d)
			depth = max(depth, inside)
			list = append(list, element)
			if _, twice := object[name]; !twice {
				object[name] = element
			}
		}
		if _, err := d.Token(); err != nil {
			panic(err)
		}
		if t == '{' {
			return object, depth + 1
		}
		return list, depth + 1
	}
	return t, 0 // nil, bool, string
}

func oracleNumber(s string) any {
	f, err := strconv.ParseFloat(s, 64)
	isDigits := !strings.ContainsAny(s, ".eE")
	if len(s) > 800 || !isDigits && err != nil {
		return tooLarge{}
	}
	_, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	if len(strings.TrimLeft(exponent, "+-0")) < 5 { // else it is zero: see err
		exact, ok := new(big.Rat).SetString(s)
		if !ok {
			panic(s)
		}
		if isOracleInteger(exact) {
			return exact
		}
	}
	if isDigits {
		return tooLarge{}
	}
	return new(big.Rat).SetFloat64(f)
}

func isOracleInteger(r *big.Rat) bool { return r.IsInt() && r.Num().IsInt64() }

func (o *oracle) truth(n ast.Node) bool {
	b, ok := o.eval(n).(bool)
	if !ok {
		panic(unreadable{})
	}
	return b
}

func (o *oracle) text(n ast.Node) string {
	s, ok := o.eval(n).(string)
	if !ok {
		panic(unreadable{})
	}
	return s
}

func (o *oracle) number(n ast.Node) *big.Rat {
	r, ok := o.eval(n).(*big.Rat)
	if !ok {
		panic(unreadable{})
	}
	return r
}

func (o *oracle) scalar(n ast.Node) any {
	switch v := o.eval(n).(type) {
	case bool, string, *big.Rat:
		return v
	}
	panic(unreadable{})
}

func (o *oracle) eval(n ast.Node) any {
	switch n := n.(type) {
	case *ast.BoolNode:
		return n.Value
	case *ast.StringNode:
		return n.Value
	case *ast.NilNode:
		return nil
	case *ast.IntegerNode:
		return new(big.Rat).SetInt64(int64(n.Value))
	case *ast.FloatNode:
		at := n.Location()
		return oracleNumber(strings.ReplaceAll(string(o.source[at.From:at.To]), "_", ""))
	case *ast.IdentifierNode, *ast.MemberNode:
		v, ok := o.field(n)
		if !ok {
			panic(unreadable{})
		}
		return v
	case *ast.CallNode:
		if n.Callee.(*ast.IdentifierNode).Value == "header" {
			panic(unreadable{}) // there are none
		}
		if _, ok := n.Arguments[0].(*ast.CallNode); ok {
			return false
		}
		_, ok := o.field(n.Arguments[0])
		return ok
	case *ast.UnaryNode:
		if n.Operator == "-" {
			return o.compute("-", new(big.Rat), o.number(n.Node))
		}
		return !o.truth(n.Node)
	case *ast.ConditionalNode:
		if o.truth(n.Cond) {
			return o.eval(n.Exp1)
		}
		return o.eval(n.Exp2)
	case *ast.BinaryNode:
		return o.binary(n)
	}
	panic(fmt.Sprintf("%T", n))
}

func (o *oracle) field(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		switch n.Value {
		case "topic":
			return o.topic, true
		case "payload":
			return o.payload, true
		case "size":
			return new(big.Rat).SetInt64(int64(len(o.payload))), true
		case "$env":
			return o.fields, o.fields != nil
		}
		v, ok := o.fields[n.Value]
		return v, ok
	case *ast.MemberNode:
		of, _ := o.field(n.Node)
		switch p := n.Property.(type) {
		case *ast.StringNode:
			object, _ := of.(map[string]any)
			v, ok := object[p.Value]
			return v, ok
		case *ast.IntegerNode:
			if list, _ := of.([]any); p.Value < len(list) {
				return list[p.Value], true
			}
		}
	}
	return nil, false
}

func (o *oracle) binary(n *ast.BinaryNode) any {
	switch n.Operator {
	case "&&", "and":
		return o.truth(n.Left) && o.truth(n.Right)
	case "||", "or":
		return o.truth(n.Left) || o.truth(n.Right)
	case "==":
		return o.equal(n)
	case "!=":
		return !o.equal(n)
	case "<":
		return o.compare(n) < 0
	case "<=":
		return o.compare(n) <= 0
	case ">":
		return o.compare(n) > 0
	case ">=":
		return o.compare(n) >= 0
	case "in":
		return o.among(n)
	case "contains":
		return bytes.Contains([]byte(o.text(n.Left)), []byte(o.text(n.Right)))
	case "startsWith":
		return bytes.HasPrefix([]byte(o.text(n.Left)), []byte(o.text(n.Right)))
	case "endsWith":
		return bytes.HasSuffix([]byte(o.text(n.Left)), []byte(o.text(n.Right)))
	}
	return o.compute(n.Operator, o.number(n.Left), o.number(n.Right))
}

func (o *oracle) equal(n *ast.BinaryNode) bool {
	_, leftNil := n.Left.(*ast.NilNode)
	_, rightNil := n.Right.(*ast.NilNode)
	if leftNil || rightNil {
		l, r := o.eval(n.Left), o.eval(n.Right)
		return l == nil && r == nil
	}
	l, r := o.scalar(n.Left), o.scalar(n.Right)
	if fmt.Sprintf("%T", l) != fmt.Sprintf("%T", r) {
		panic(unreadable{})
	}
	return oracleEqual(l, r)
}

func oracleEqual(a, b any) bool {
	x, isX := a.(*big.Rat)
	y, isY := b.(*big.Rat)
	if isX || isY {
		return isX && isY && x.Cmp(y) == 0
	}
	switch a.(type) {
	case bool, string:
		return a == b
	}
	return false
}

func (o *oracle) compare(n *ast.BinaryNode) int {
	if l, ok := o.scalar(n.Left).(string); ok {
		return bytes.Compare([]byte(l), []byte(o.text(n.Right)))
	}
	return o.number(n.Left).Cmp(o.number(n.Right))
}

func (o *oracle) among(n *ast.BinaryNode) bool {
	v := o.scalar(n.Left)
	var list []any
	if literal, ok := n.Right.(*ast.ArrayNode); ok {
		for _, e := range literal.Nodes {
			list = append(list, o.eval(e))
		}
	} else if list, ok = o.eval(n.Right).([]any); !ok {
		panic(unreadable{})
	}
	for _, e := range list {
		if oracleEqual(v, e) {
			return true
		}
	}
	return false
}

func (o *oracle) compute(operator string, a, b *big.Rat) *big.Rat {
	whole := isOracleInteger(a) && isOracleInteger(b)
	if b.Sign() == 0 && (operator == "/" || operator == "%") || operator == "%" && !whole {
		panic(unreadable{})
	}
	exact := new(big.Rat)
	x, _ := a.Float64()
	y, _ := b.Float64()
	float := 0.0
	switch operator {
	case "+":
		exact.Add(a, b)
		float = x + y
	case "-":
		exact.Sub(a, b)
		float = x - y
	case "*":
		exact.Mul(a, b)
		float = x * y
	case "/":
		exact.Quo(a, b)
		float = x / y
	case "%":
		exact.SetInt(new(big.Int).Rem(a.Num(), b.Num()))
	}
	switch {
	case whole && isOracleInteger(exact):
		return exact
	case whole && exact.IsInt():
		panic(unreadable{}) // beyond 64 bits
	}
	result := new(big.Rat).SetFloat64(float)
	if result == nil {
		panic(unreadable{})
	}
	return result
}

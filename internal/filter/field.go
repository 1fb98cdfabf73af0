package filter

import "github.com/expr-lang/expr/ast"

// path is the path from the payload to a field: user.items[0] has three steps. It is never empty.
type path []step

type step struct {
	name    string
	index   int // from 0
	byIndex bool
}

// field compiles a field of the payload or a property of the message.
func (c *compiler) field(n ast.Node) (term, *Error) {
	if id, ok := n.(*ast.IdentifierNode); ok {
		if t, ok := messageField(id.Value); ok {
			return t, nil
		}
	}
	p, err := c.path(n)
	switch {
	case err != nil:
		return term{}, err
	case p == nil:
		return term{}, errorAt(start(n), "only fields have fields: write user.id or items[0].price")
	}
	return term{kinds: anyKind, read: func(m *Message) (value, bool) {
		found := m.lookup(p)
		if found == nil {
			return value{}, false
		}
		return found.value, true
	}}, nil
}

// messageField returns the properties of the message itself, which exist also without JSON.
func messageField(name string) (term, bool) {
	switch name {
	case "topic":
		return term{kinds: str, read: func(m *Message) (value, bool) { return strValue(m.topic), true }}, true
	case "payload":
		return term{kinds: str, read: func(m *Message) (value, bool) {
			payload, ok := m.load()
			return strValue(payload), ok
		}}, true
	case "size":
		return term{kinds: integer, read: func(m *Message) (value, bool) {
			return intValue(int64(m.size())), true
		}}, true
	}
	return term{}, false
}

// path compiles a path. It returns nil without an error if n is no path.
func (c *compiler) path(n ast.Node) (path, *Error) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return c.firstStep(n)
	case *ast.MemberNode:
		if err := c.visit(n); err != nil {
			return nil, err
		}
		s, err := c.step(n.Property)
		if err != nil {
			return nil, err
		}
		id, ok := n.Node.(*ast.IdentifierNode)
		if ok && id.Value == "payload" && !s.byIndex {
			return nil, errorAt(start(n), "fields stand alone: write price, not payload.price")
		}
		if ok && id.Value == "$env" {
			if s.byIndex {
				return nil, errorAt(n.Property.Location().From, "fields of the payload have names: write $env[\"0\"]")
			}
			return path{s}, nil
		}
		p, err := c.path(n.Node)
		if err != nil || p == nil {
			return nil, err
		}
		return append(p, s), nil
	}
	return nil, nil
}

func (c *compiler) firstStep(n *ast.IdentifierNode) (path, *Error) {
	at := n.Location().From
	if text, ok := foreignLiterals[n.Value]; ok {
		return nil, errorAt(at, "%s; a field of this name is $env.%s", text, n.Value)
	}
	switch n.Value {
	case "$env":
		return nil, errorAt(at, "$env needs a name: $env.size is the field size of the payload")
	case "topic", "payload", "size":
		return nil, errorAt(at, "%s is of the message: always there, and without fields; a field of this name is $env.%[1]s", n.Value)
	}
	return path{{name: n.Value}}, nil
}

// foreignLiterals are literals of other languages. As a field name, each would silently never match.
var foreignLiterals = map[string]string{
	"null": "write nil", "NULL": "write nil", "Null": "write nil", "None": "write nil", "undefined": "write nil or has(field)",
	"True": "write true", "TRUE": "write true", "False": "write false", "FALSE": "write false",
	"NaN": "there is no NaN in JSON", "Infinity": "there is no infinity in JSON", "Inf": "there is no infinity in JSON",
}

// step compiles the name after a dot, or the index or name in brackets.
func (c *compiler) step(n ast.Node) (step, *Error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return step{name: n.Value}, nil
	case *ast.IntegerNode:
		return step{index: n.Value, byIndex: true}, nil
	case *ast.UnaryNode:
		return step{}, errorAt(start(n), "places are counted from 0, and not from the end")
	}
	return step{}, errorAt(start(n), "in brackets stands a number or a string: items[0] or user[\"first-name\"]")
}

// call compiles one of the two functions.
func (c *compiler) call(n *ast.CallNode) (term, *Error) {
	switch callee(n) {
	case "has":
		return c.has(n)
	case "header":
		name, err := headerName(n)
		if err != nil {
			return term{}, err
		}
		return term{kinds: number | str, read: func(m *Message) (value, bool) { return m.header(name) }}, nil
	}
	return term{}, errorAt(start(n), functions)
}

// functions ends the error text of a call to any other function.
const functions = `the functions are has(field) and header("name")`

// callee returns the name of the called function, or nothing if it has none.
func callee(n *ast.CallNode) string {
	if name, ok := n.Callee.(*ast.IdentifierNode); ok {
		return name.Value
	}
	return ""
}

// has compiles has(field) and has(header("name")), which are never Unreadable.
func (c *compiler) has(n *ast.CallNode) (term, *Error) {
	if len(n.Arguments) != 1 {
		return term{}, errorAt(start(n), "has takes one field: has(user.id)")
	}
	if inner, ok := n.Arguments[0].(*ast.CallNode); ok && callee(inner) == "header" {
		name, err := headerName(inner)
		if err != nil {
			return term{}, err
		}
		return test(func(m *Message) Verdict { return verdict(m.hasHeader(name)) }), nil
	}
	p, err := c.path(n.Arguments[0])
	switch {
	case err != nil:
		return term{}, err
	case p == nil:
		return term{}, errorAt(start(n.Arguments[0]), "has takes a field: has(user.id)")
	}
	return test(func(m *Message) Verdict { return verdict(m.lookup(p) != nil) }), nil
}

// headerName returns the argument of header(). It is constant, so that a predicate reads no name out of a message.
func headerName(n *ast.CallNode) (string, *Error) {
	if len(n.Arguments) == 1 {
		if name, ok := n.Arguments[0].(*ast.StringNode); ok {
			return name.Value, nil
		}
	}
	return "", errorAt(start(n), `header takes a name in quotes: header("region")`)
}

package filter

import "cmp"

// Limits bound the cost of an expression and of a message. The zero value of a field means its default.
type Limits struct {
	Expression int // bytes of an expression: 4 KiB
	Nodes      int // names, literals and operators in an expression: 256
	Payload    int // bytes of a payload with fields: 1 MiB
	Depth      int // nesting of a payload with fields, its own braces being 1: 64
}

func (l Limits) expression() int { return cmp.Or(l.Expression, 4<<10) }
func (l Limits) nodes() int      { return cmp.Or(l.Nodes, 256) }
func (l Limits) payload() int    { return cmp.Or(l.Payload, 1<<20) }
func (l Limits) depth() int      { return cmp.Or(l.Depth, 64) }

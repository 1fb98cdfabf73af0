package filter

import "cmp"

// Limits bound what an expression and a message may cost. The zero value of each is its default.
type Limits struct {
	Expression int // bytes of an expression: 4 KiB
	Nodes      int // names, literals and operators in an expression: 256
	Payload    int // bytes up to which a payload is looked into: 1 MiB
	Depth      int // nesting up to which a payload is looked into, its own braces being 1: 64
}

func (l Limits) expression() int { return cmp.Or(l.Expression, 4<<10) }
func (l Limits) nodes() int      { return cmp.Or(l.Nodes, 256) }
func (l Limits) payload() int    { return cmp.Or(l.Payload, 1<<20) }
func (l Limits) depth() int      { return cmp.Or(l.Depth, 64) }

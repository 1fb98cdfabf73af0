package server

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/conchmq/conch/protocol"
)

// table is text in columns, for people.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = fmt.Sprint(cell)
	}
	t.rows = append(t.rows, row)
}

// lines are the head and the rows, with the columns under each other.
func (t *table) lines() []string {
	width := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, len(all))
	for i, row := range all {
		var line strings.Builder
		for j, cell := range row {
			line.WriteString("  " + cell + strings.Repeat(" ", width[j]-utf8.RuneCountInString(cell)))
		}
		lines[i] = "#" + strings.TrimRight(line.String()[1:], " ")
	}
	return lines
}

// table answers a verb with a table, all being how many rows there are: one line that says how many follow, then those,
// each behind a # as all that is not for programs. Over RESP it is an array of these lines.
func (x *exchange) table(t *table, all int) {
	lines := []string{}
	if len(t.rows) > 0 {
		lines = t.lines()
	}
	if left := all - len(t.rows); left > 0 {
		lines = append(lines, fmt.Sprintf("# and %d more", left))
	}
	if x.call.dialect != protocol.Line {
		x.array(len(lines))
		for _, line := range lines {
			x.simple(line)
		}
		return
	}
	x.out = protocol.AppendLineEnd(fmt.Appendf(x.out, "OK %s %d", x.call.row.Name, all), x.call.crlf)
	for _, line := range lines {
		x.out = protocol.AppendLineEnd(append(x.out, line...), x.call.crlf)
	}
}

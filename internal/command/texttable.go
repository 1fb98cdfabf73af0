package command

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/conchmq/conch/protocol"
)

// maxCells bounds the width of a table cell on a terminal. maxCellBytes bounds the bytes looked
// at for it: a character may have any number of combining accents.
const maxCells, maxCellBytes = 64, 256

const ellipsis = "…"

// textTable is text in columns, for people. Longer cells are cut: one name of some kilobytes
// would widen all rows.
type textTable struct {
	head []string
	rows [][]string
}

// add appends a row, and counts the work of writing it.
func (t *textTable) add(w *response, cells ...any) {
	w.work += workPerRow
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = clip(fmt.Sprint(cell))
	}
	t.rows = append(t.rows, row)
}

// clip cuts a cell that is too wide, and marks the cut with an ellipsis.
func clip(s string) string {
	if len(s) <= maxCells { // no character is wider than its bytes are many
		return s
	}
	if isASCII(s[:maxCells+1]) {
		return s[:maxCells-1] + ellipsis
	}
	fit, width, state := 0, 0, -1
	for rest := s; rest != ""; {
		var cells int
		_, rest, cells, state = uniseg.FirstGraphemeClusterInString(rest, state)
		end := len(s) - len(rest)
		if width += cells; width > maxCells || end > maxCellBytes {
			return s[:fit] + ellipsis
		}
		// The last cut that leaves room for the ellipsis.
		if width < maxCells {
			fit = end
		}
	}
	return s
}

// displayWidth is the width of a string on a terminal. Nearly all strings are ASCII, for which
// it is cheap.
func displayWidth(s string) int {
	if start, cut := strings.CutSuffix(s, ellipsis); isASCII(start) {
		if cut {
			return len(start) + 1
		}
		return len(s)
	}
	return uniseg.StringWidth(s)
}

// isASCII reports whether s has printable ASCII only: one cell for each byte.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// showName escapes a name. Of a long one it looks only at the part that fits into a cell.
func showName(name string) string {
	if len(name) <= maxCellBytes {
		return string(protocol.EscapeName(nil, []byte(name)))
	}
	end := maxCellBytes
	for end > maxCellBytes-utf8.UTFMax && !utf8.RuneStart(name[end]) {
		end--
	}
	return string(protocol.EscapeName(nil, []byte(name[:end]))) + ellipsis // clip mostly cuts it off again
}

// lines are the head and the rows, aligned.
func (t *textTable) lines() []string {
	width := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], displayWidth(cell))
		}
	}
	lines := make([]string, len(all))
	for i, row := range all {
		var line strings.Builder
		for j, cell := range row {
			line.WriteString("  " + cell + strings.Repeat(" ", width[j]-displayWidth(cell)))
		}
		lines[i] = "#" + strings.TrimRight(line.String()[1:], " ")
	}
	return lines
}

// textTable replies to a verb with a table. The first line has the number of all rows; the rows
// follow, each behind a # for comments. Over RESP it is an array of these lines.
func (w *response) textTable(t *textTable, all int) {
	lines := []string{}
	if len(t.rows) > 0 {
		lines = t.lines()
	}
	if left := all - len(t.rows); left > 0 {
		lines = append(lines, fmt.Sprintf("# and %d more", left))
	}
	w.textLines(lines, all)
}

// textLines replies to a verb with lines for a person, behind a number.
func (w *response) textLines(lines []string, all int) {
	if w.inv.dialect != protocol.Line {
		w.array(len(lines))
		for _, line := range lines {
			w.simple(line)
		}
		return
	}
	w.buf = protocol.AppendLineEnd(fmt.Appendf(w.buf, "OK %s %d", w.inv.row.Name, all), w.inv.crlf)
	for _, line := range lines {
		w.buf = protocol.AppendLineEnd(append(w.buf, line...), w.inv.crlf)
	}
}

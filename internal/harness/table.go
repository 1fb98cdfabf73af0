package harness

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Table returns the cells of a Markdown table between <!-- name:begin --> and <!-- name:end -->, without the header. It
// removes the backticks around a cell and the backslash before an escaped bar.
func Table(t testing.TB, path, name string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "<!-- "+name+":begin -->\n")
	require.True(t, found, "%s has no table %s", path, name)
	table, _, found := strings.Cut(after, "<!-- "+name+":end -->\n")
	require.True(t, found, "the table %s of %s does not end", name, path)
	lines := strings.Split(strings.TrimSpace(table), "\n")
	require.Greater(t, len(lines), 2, "the table %s of %s has no rows", name, path)
	for _, line := range lines[2:] {
		rows = append(rows, cells(line))
	}
	return rows
}

// cells splits a row at unescaped bars.
func cells(row string) []string {
	const bar = "\x00" // placeholder of an escaped bar
	row = strings.ReplaceAll(strings.Trim(row, "| "), `\|`, bar)
	all := strings.Split(row, "|")
	for i, cell := range all {
		cell = strings.ReplaceAll(strings.TrimSpace(cell), bar, "|")
		if n := len(cell); n > 1 && cell[0] == '`' && strings.IndexByte(cell[1:], '`') == n-2 {
			cell = cell[1 : n-1]
		}
		all[i] = cell
	}
	return all
}

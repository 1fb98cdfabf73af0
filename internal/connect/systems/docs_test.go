package systems

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/harness"
)

const page = "../../../docs/connect.md"

// docs/connect.md has a row for each system, with what the system can do and the test that shows it.
func TestEachSystemHasARowOfTheDocs(t *testing.T) {
	rows := make(map[string][]string)
	for _, row := range harness.Table(t, page, "systems") {
		rows[row[0]] = row
	}
	assert.Len(t, rows, len(All))
	schemes := make(map[string]bool)
	for _, system := range All {
		t.Run(system.Name, func(t *testing.T) {
			row := rows[system.Name]
			require.Len(t, row, 7, "docs/connect.md has no row for it")
			source, sink, template, into, loops, test := row[1], row[2], row[3], row[4], row[5], row[6]
			assert.Equal(t, system.Source != nil, source != "", "source")
			assert.Equal(t, system.Sink != nil, sink != "", "sink")
			for _, meta := range system.Meta {
				if n := len(meta) - 1; meta[n] > '1' && meta[n] < '9' {
					continue // of numbered ones the first and the last
				}
				assert.Contains(t, template, "{"+meta+"}")
			}
			assert.Equal(t, system.Source != nil && system.Positions, strings.Contains(into, "exactly once"), "positions")
			assert.Equal(t, system.Headers, strings.HasPrefix(loops, "cut"), "headers")
			_, file, ok := strings.Cut(test, "](")
			require.True(t, ok, "a link to the test")
			file, _, _ = strings.Cut(file, ")")
			assert.FileExists(t, filepath.Join("../../../docs", file))
			known := false
			for _, scheme := range system.Schemes {
				assert.False(t, schemes[scheme], "%s is of two systems", scheme)
				schemes[scheme] = true
				known = known || strings.Contains(source+sink, scheme+":")
			}
			assert.True(t, known, "a URL with one of the schemes")
		})
	}
}

// docs/connect.md explains each key, with its default.
func TestEachKeyIsInTheDocs(t *testing.T) {
	rows := harness.Table(t, page, "keys")
	var names []string
	for _, row := range rows {
		names = append(names, row[0])
	}
	var want []string
	for _, key := range connect.Keys() {
		want = append(want, key.Name)
	}
	assert.Equal(t, want, names)
	for i, key := range connect.Keys() {
		of := rows[i][1]
		if key.For == "" {
			assert.Equal(t, "both", of, key.Name)
		} else {
			assert.Equal(t, string(key.For), of, key.Name)
		}
		d := key.For
		if d == "" {
			d = command.Sink
		}
		c, plain := connect.NewConfig(d), connect.NewConfig(d)
		if fallback := rows[i][2]; fallback != "" {
			require.NoError(t, c.Set(key.Name, fallback))
			assert.Equal(t, plain, c, "the default of %s", key.Name)
		}
	}
}

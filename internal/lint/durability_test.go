package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// Each promise of docs/durability.md names the tests that hold it, and they exist.
func TestPromisesNameTheirTests(t *testing.T) {
	declared := map[string]map[string]bool{} // by directory
	for _, row := range harness.Table(t, docs+"durability.md", "promises") {
		tests := inBackticks.FindAllStringSubmatch("`"+strings.Trim(row[1], "`")+"`", -1)
		require.NotEmpty(t, tests, row[0])
		for _, m := range tests {
			at := strings.LastIndex(m[1], ".")
			require.Positive(t, at, m[1])
			dir, name := m[1][:at], m[1][at+1:]
			if declared[dir] == nil {
				declared[dir] = testFunctions(t, dir)
			}
			assert.True(t, declared[dir][name], "docs/durability.md: there is no test %s", m[1])
		}
	}
}

// testFunctions are the functions in the tests of a directory.
func testFunctions(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../../" + dir + "/*_test.go")
	require.NoError(t, err)
	found := map[string]bool{}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				found[f.Name.Name] = true
			}
		}
	}
	return found
}

package lint

import (
	"go/ast"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs/operations.md explains each log line.
func TestOperationsNameEachLogLine(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	all, _ := sources(t)
	lines := 0
	for _, s := range all {
		for n := range ast.Preorder(s.tree) {
			if text, ok := logLine(n); ok {
				assert.Contains(t, string(page), "`"+text+"`", "docs/operations.md does not explain this line of %s", s.name)
				lines++
			}
		}
	}
	assert.Greater(t, lines, 10)
}

// logLine returns the text of a call such as log.Info().Msg("text").
func logLine(n ast.Node) (text string, ok bool) {
	call, isCall := n.(*ast.CallExpr)
	if !isCall || len(call.Args) != 1 {
		return "", false
	}
	method, isMethod := call.Fun.(*ast.SelectorExpr)
	literal, isLiteral := call.Args[0].(*ast.BasicLit)
	if !isMethod || !isLiteral || method.Sel.Name != "Msg" {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}

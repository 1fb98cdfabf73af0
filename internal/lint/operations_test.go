package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// docs/operations.md explains each log line, and no other.
func TestOperationsNameEachLogLine(t *testing.T) {
	explained := map[string]bool{}
	for _, row := range harness.Table(t, "../../docs/operations.md", "log") {
		for _, text := range logTexts(row[0]) {
			assert.False(t, explained[text], "docs/operations.md has the line twice: %s", text)
			explained[text] = true
		}
	}
	logged := map[string]bool{}
	all, files := sources(t)
	for _, s := range all {
		if strings.HasPrefix(s.name, "test/") {
			continue
		}
		for n := range ast.Preorder(s.tree) {
			function, ok := n.(*ast.FuncDecl)
			if !ok {
				continue
			}
			for _, arg := range messages(function) {
				texts := values(function, arg)
				assert.NotEmpty(t, texts, "%s: the text of a log line is a literal, or a variable that has literals alone", files.Position(arg.Pos()))
				for _, text := range texts {
					assert.True(t, explained[text], "docs/operations.md does not explain this line of %s: %s", s.name, text)
					logged[text] = true
				}
			}
		}
	}
	for text := range explained {
		assert.True(t, logged[text], "docs/operations.md explains a line that conch does not log: %s", text)
	}
}

// logTexts are the lines in a cell: several in backticks, or one, whose backticks Table has removed.
func logTexts(cell string) (all []string) {
	for _, m := range inBackticks.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	if all == nil {
		all = []string{cell}
	}
	return all
}

// messages are the arguments of calls such as log.Info().Msg("text") in a function. No line is like the format of Msgf, so the test refuses it.
func messages(function *ast.FuncDecl) (args []ast.Expr) {
	for n := range ast.Preorder(function) {
		call, isCall := n.(*ast.CallExpr)
		if !isCall || len(call.Args) == 0 {
			continue
		}
		if method, ok := call.Fun.(*ast.SelectorExpr); ok && (method.Sel.Name == "Msg" && len(call.Args) == 1 || method.Sel.Name == "Msgf") {
			args = append(args, call.Args[0])
		}
	}
	return args
}

// values are the literals that an expression may have: itself, or all that the function assigns to a variable. Without a
// result, it may be something else.
func values(function *ast.FuncDecl, e ast.Expr) (all []string) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return []string{text}
		}
	case *ast.Ident:
		for n := range ast.Preorder(function) {
			assignment, ok := n.(*ast.AssignStmt)
			if !ok || len(assignment.Lhs) != len(assignment.Rhs) {
				continue
			}
			for i, left := range assignment.Lhs {
				if name, ok := left.(*ast.Ident); ok && name.Name == e.Name {
					literal, isLiteral := assignment.Rhs[i].(*ast.BasicLit)
					if !isLiteral {
						return nil
					}
					all = append(all, values(function, literal)...)
				}
			}
		}
	}
	return all
}

// The test sees through variables, and refuses what it cannot see.
func TestTextsOfLogLines(t *testing.T) {
	for source, want := range map[string][]string{
		`l.Info().Msg("a")`: {"a"},
		`text := "a"; if x { text = "b" }; l.W().Msg(text)`: {"a", "b"},
		`l.Info().Msg("a" + b)`:                             nil,
		`text := f(); l.Info().Msg(text)`:                   nil,
		`l.Info().Msg(parameter)`:                           nil,
		`l.Info().Msgf("a %d", 1)`:                          {"a %d"},
	} {
		tree, err := parser.ParseFile(token.NewFileSet(), "p.go", "package p\nfunc f() { "+source+" }", parser.SkipObjectResolution)
		require.NoError(t, err, source)
		function := tree.Decls[0].(*ast.FuncDecl)
		args := messages(function)
		if assert.Len(t, args, 1, source) {
			assert.Equal(t, want, values(function, args[0]), source)
		}
	}
}

package lint

import (
	"go/ast"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// maxWalk is how many functions may lie between the read of a command and the write of what comes of it.
const maxWalk = 24

var inBackticks = regexp.MustCompile("`([^`]+)`")

// docs/architecture.md names the functions on the way of a PUBLISH and of a SUB.
func TestTheWalksAreThoseOfTheSource(t *testing.T) {
	page, err := os.ReadFile("../../docs/architecture.md")
	require.NoError(t, err)
	declared := declaredFunctions(t)
	for _, walk := range []string{"publish", "sub"} {
		_, text, found := strings.Cut(string(page), "<!-- "+walk+":begin -->\n")
		require.True(t, found, walk)
		text, _, found = strings.Cut(text, "<!-- "+walk+":end -->")
		require.True(t, found, walk)
		rows := strings.Split(strings.TrimSpace(text), "\n")[2:]
		assert.LessOrEqual(t, len(rows), maxWalk, walk)
		for _, row := range rows {
			names := inBackticks.FindAllStringSubmatch(strings.Split(row, "|")[3], -1)
			require.NotEmpty(t, names, row)
			for _, name := range names {
				assert.True(t, declared[name[1]], "%s: there is no function %s", walk, name[1])
			}
		}
	}
}

// declaredFunctions are those of the program: methods with their receiver, and with their package before it or not.
func declaredFunctions(t *testing.T) map[string]bool {
	t.Helper()
	declared := make(map[string]bool)
	all, _ := sources(t)
	for _, s := range all {
		for _, d := range s.tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := f.Name.Name
			if f.Recv != nil {
				name = receiver(f.Recv.List[0].Type) + "." + name
			}
			declared[name] = true
			declared[s.tree.Name.Name+"."+name] = true
		}
	}
	return declared
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

package lint

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ordered are the packages in which the same requests must give the same state: no map is walked there where its order can show. A
// comment on the line of such a loop has the word "order", and the reason.
var ordered = []string{"internal/stream"}

func TestNoMapIsWalkedInOrderedState(t *testing.T) {
	all, files := sources(t)
	for _, pkg := range ordered {
		var trees []*ast.File
		for _, s := range all {
			if s.pkg == pkg {
				trees = append(trees, s.tree)
			}
		}
		require.NotEmpty(t, trees, pkg)
		for _, at := range mapWalks(files, trees) {
			assert.Fail(t, "a map is walked: the order must not show in the state, and a comment on the line has the reason", files.Position(at).String())
		}
	}
}

// without imports nothing: the types of a package's own maps are known all the same.
type without struct{}

func (without) Import(string) (*types.Package, error) { return nil, errors.New("not imported") }

// mapWalks finds the loops over maps, and over what package maps yields, without a comment on their order.
func mapWalks(files *token.FileSet, trees []*ast.File) (found []token.Pos) {
	info := types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	config := types.Config{Importer: without{}, Error: func(error) {}}
	_, _ = config.Check("p", files, trees, &info)
	for _, tree := range trees {
		reasons := make(map[int]bool)
		for _, group := range tree.Comments {
			for _, c := range group.List {
				if strings.Contains(c.Text, "order") {
					reasons[files.Position(c.Pos()).Line] = true
				}
			}
		}
		for n := range ast.Preorder(tree) {
			loop, ok := n.(*ast.RangeStmt)
			if ok && isMap(&info, loop.X) && !reasons[files.Position(loop.Pos()).Line] {
				found = append(found, loop.Pos())
			}
		}
	}
	return found
}

func isMap(info *types.Info, e ast.Expr) bool {
	if of := info.Types[e].Type; of != nil {
		if _, ok := of.Underlying().(*types.Map); ok {
			return true
		}
	}
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := f.X.(*ast.Ident)
	return ok && pkg.Name == "maps"
}

func TestMapWalks(t *testing.T) {
	const code = `package p
import ("maps"; "sync")
type set map[int]bool
type s struct { sync.Mutex; names map[string]int; list []int }
func f(x *s, seen set) {
	for range x.names { // 6
	}
	for range x.names { // the order does not show
	}
	for range x.list {
	}
	for k := range seen { // 12
	}
	made := make(map[int]int)
	for range made { // 15
	}
	for range maps.Keys(x.list) { // 17
	}
	for range slices.Sorted(x.list) {
	}
}`
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, "p.go", code, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	var lines []int
	for _, at := range mapWalks(files, []*ast.File{tree}) {
		lines = append(lines, files.Position(at).Line)
	}
	assert.Equal(t, []int{6, 12, 15, 17}, lines)
}

package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the import path of the root.
const module = "github.com/conchmq/conch"

// source is one file of the code without tests.
type source struct {
	name    string // relative to the root of the module, with slashes
	pkg     string // the directory of its package; "main" for that of conch itself
	tree    *ast.File
	imports []string
}

// sources parses the whole module. Parsing covers the files of every platform and build tag; a build would not.
func sources(t *testing.T) (all []source, files *token.FileSet) {
	t.Helper()
	const root = "../.."
	files = token.NewFileSet()
	require.NoError(t, filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != root && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor") {
				return fs.SkipDir // as the go command does
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != root {
				return fs.SkipDir // another module
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		tree, err := parser.ParseFile(files, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		from, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		all = append(all, newSource(filepath.ToSlash(from), tree))
		return nil
	}))
	require.NotEmpty(t, all)
	return all, files
}

func newSource(name string, tree *ast.File) source {
	s := source{name: name, pkg: path.Dir(name), tree: tree}
	if s.pkg == "." {
		s.pkg = "main"
	}
	for _, spec := range tree.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			s.imports = append(s.imports, p)
		}
	}
	return s
}

package log

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// syncSites returns the places of the source that sync a file or a directory, by file and line, each with its function.
func syncSites(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	sites := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "directory") || file == "memory.go" || file == "handles.go" || strings.HasPrefix(file, "framed") {
			continue
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range tree.Decls {
			function, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			for n := range ast.Preorder(function) {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					continue
				}
				selector, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || selector.Sel.Name != "Sync" && selector.Sel.Name != "SyncDir" {
					continue
				}
				if receiver, ok := selector.X.(*ast.Ident); ok && receiver.Name == "l" {
					continue // Log.Sync, which leads to one of the others
				}
				site := fmt.Sprintf("%s:%d", file, set.Position(selector.Sel.Pos()).Line)
				sites[site] = function.Name.Name + "." + selector.Sel.Name
			}
		}
	}
	return sites
}

// Each call that syncs a file or a directory is needed: without it, some crash loses what was promised, or brings back what was cut.
func TestEachSyncIsNeeded(t *testing.T) {
	sites := syncSites(t)
	require.Greater(t, len(sites), 10)
	limit := 3000
	if testing.Short() {
		limit = 300
	}
	var names []string
	for site := range sites {
		names = append(names, site)
	}
	slices.Sort(names)
	for _, site := range names {
		t.Run(sites[site], func(t *testing.T) {
			first := testseed.New()
			for seed := first; seed < first+uint64(limit); seed++ {
				run := crashRun
				switch {
				case strings.HasPrefix(site, "rewriting.go"):
					run = rewriteCrashRun
				case strings.HasPrefix(site, "repack.go"):
					run = repackCrashRun
				case sites[site] == "unseal.Sync":
					run = unsealCrashRun
				}
				if _, problem := run(seed, site); problem != "" {
					t.Logf("%s, without the call: run %d: %s", site, seed-first+1, problem)
					return
				}
			}
			assert.Fail(t, "no crash shows that this sync is needed", "%s, %d runs", site, limit)
		})
	}
}

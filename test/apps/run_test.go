//go:build apps

package apps

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	redis = flag.Bool("redis", false, "run the applications through redis-server: what passes there shows that the programs are right")
	write = flag.Bool("write", false, "write the table of docs/clients.md")
)

// Each application does its main thing through one server.
func TestApps(t *testing.T) {
	host, port := startServer(t, *redis)
	table, ran := "| application | version | through conch | result |\n|---|---|---|---|\n", 0
	for _, a := range all {
		t.Run(a.name, func(t *testing.T) {
			table += fmt.Sprintf("| %s | %s | %s | passes |\n", a.name, a.run(t, host, port), a.does)
			ran++
		})
	}
	if *write {
		require.True(t, ran == len(all) && !*redis, "%s is left alone: all applications pass through conch, or nothing is written", docs)
		writeTable(t, table)
	}
}

// run fails the test if a check fails, and returns the versions of what ran.
func (a app) run(t *testing.T, host, port string) string {
	t.Helper()
	if a.program == nil {
		return scrape(t, host, port)
	}
	program := append(a.program[:len(a.program):len(a.program)], host, port, a.variant)
	address := serve(t, append(program[:len(program):len(program)], "serve")...)
	return use(t, append(program, "use", address)...)
}

func writeTable(t *testing.T, table string) {
	t.Helper()
	text, err := os.ReadFile(docs)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), "<!-- apps:begin -->\n")
	_, after, foundEnd := strings.Cut(rest, "<!-- apps:end -->")
	require.True(t, found && foundEnd, "%s has no table apps", docs)
	require.NoError(t, os.WriteFile(docs, []byte(before+"<!-- apps:begin -->\n"+table+"<!-- apps:end -->"+after), 0o644))
}

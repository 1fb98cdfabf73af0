package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"
)

// docs/command-line.md has the flags of each subcommand as the help has them; -update writes them anew.
func TestFlagsOfTheDocs(t *testing.T) {
	const page = "../../docs/command-line.md"
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	want := string(text)
	root := newRoot(&Env{LookupEnv: nothing}, io.Discard)
	for _, name := range []string{"sub", "pub", "top", "health", "bench"} {
		begin, end := "<!-- "+name+"-flags:begin -->\n", "<!-- "+name+"-flags:end -->"
		before, rest, found := strings.Cut(want, begin)
		require.True(t, found, begin)
		_, after, found := strings.Cut(rest, end)
		require.True(t, found, end)
		want = before + begin + flagTable(root.Command(name)) + end + after
	}
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(text), "go test ./internal/cli -run FlagsOfTheDocs -update writes it anew")
}

// flagTable is the table of a subcommand's flags in Markdown.
func flagTable(c *cli.Command) string {
	var b strings.Builder
	b.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	for _, f := range c.Flags {
		g, isOurs := f.(*cli.GenericFlag)
		if !isOurs {
			continue // --help
		}
		flag, fallback := code(strings.TrimSpace("--"+g.Name+" "+valueOf(f).placeholder)), g.DefaultText
		for _, letter := range g.Aliases {
			flag += ", " + code("-"+letter)
		}
		if strings.ContainsAny(fallback, "0123456789") || fallback == "resp2" {
			fallback = code(fallback)
		}
		usage := strings.NewReplacer("|", `\|`, "*", `\*`, "[", `\[`).Replace(g.Usage)
		for _, name := range g.GetEnvVars() {
			usage += "; also " + code(name)
		}
		fmt.Fprintf(&b, "| %s |%s | %s |\n", flag, strings.TrimSuffix(" "+fallback, " "), usage)
	}
	return b.String()
}

func code(text string) string { return "`" + text + "`" }

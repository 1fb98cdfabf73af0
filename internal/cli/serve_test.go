package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// conch serve --check reports what conch serve would, and opens no port.
func TestServeCheck(t *testing.T) {
	folder := t.TempDir()
	harness.WriteFile(t, folder+"/conch.toml", []byte("max-line = 2048\nlisten = '192.0.2.1:1'\n")) // an address of no machine
	harness.WriteFile(t, folder+"/wrong.toml", []byte("max-lin = 2048\n"))
	harness.WriteFile(t, folder+"/users.acl", []byte("user x on nonsense\n"))
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"serve --check --config FOLDER/conch.toml", statusOK, ""},
		{"--check --config FOLDER/conch.toml", statusOK, ""},
		{"serve --check --config FOLDER/wrong.toml", statusUsage, "file FOLDER/wrong.toml: unknown key max-lin (did you mean max-line?); see conch serve --help"},
		{"serve --check --max-line 1x", statusUsage, `flag --max-line: expected a size such as 65536, 64KiB or 16MiB, not "1x"; see conch serve --help`},
		{"serve --check --tls-listen :1 --tls-cert FOLDER/no --tls-key FOLDER/no", statusFailure, "tls-cert FOLDER/no: no such file or directory"},
		{"serve --check --aclfile FOLDER/users.acl", statusFailure, "ACL file cannot be used: FOLDER/users.acl:1: '(a word of 8 letters, not shown)': Syntax error"},
	} {
		var out, stderr bytes.Buffer
		in := func(text string) string { return strings.ReplaceAll(text, "FOLDER", folder) }
		args := append([]string{"conch"}, strings.Fields(in(c.args))...)
		assert.Equal(t, c.status, run(args, nothing, nil, &out, &stderr, nil), c.args)
		if c.status == statusOK {
			assert.Equal(t, "the settings are valid\n", out.String())
			assert.Empty(t, stderr.String())
			continue
		}
		assert.Equal(t, "conch: "+in(c.want)+"\n", stderr.String())
		assert.Empty(t, out.String())
	}
}

func TestServeCheckWarnsOfUnknownVariables(t *testing.T) {
	var out, stderr bytes.Buffer
	environ := []string{"CONCH_LISTN=:1", "CONCH_URL=x"}
	assert.Equal(t, statusOK, Run(&Env{Args: []string{"conch", "serve", "--check"}, LookupEnv: nothing, Environ: environ, Stdout: &out, Stderr: &stderr}))
	assert.Equal(t, "conch: warning: unknown environment variable CONCH_LISTN (did you mean CONCH_LISTEN?)\n", stderr.String())
}

// make man writes a page for each subcommand.
func TestMakeMan(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	require.NoError(t, err)
	var names []string
	for _, c := range newRoot(&Env{LookupEnv: nothing}, nil).Commands {
		names = append(names, c.Name)
	}
	assert.Contains(t, string(makefile), "\nPAGES := "+strings.Join(names, " ")+" completion\n")
}

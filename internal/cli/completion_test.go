package cli

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCompletionScripts(t *testing.T) {
	for shell, registers := range map[string]string{
		"bash": "complete -o bashdefault -o default -F _conch conch", "zsh": "compdef _conch conch",
		"fish": "complete -c conch -f -a",
	} {
		var out, stderr bytes.Buffer
		require.Equal(t, statusOK, run([]string{"conch", "completion", shell}, nothing, nil, &out, &stderr, nil))
		assert.Contains(t, out.String(), registers)
		assert.Contains(t, out.String(), "--generate-shell-completion")
		assert.Empty(t, stderr.String())
	}
}

func TestCompletionOfSubcommands(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"pub", "--un"}, "--unacked:write the lines that are not acknowledged to this file, which must not exist yet\n"},
		{[]string{"sub", "--where", "price > 1", "--r"}, "--raw:the bytes of each message and a newline, nothing else\n"},
		{[]string{"sub", "-j", "-n", "1", "--un"}, ""},
		{[]string{"pub", "-j", "-c", "1", "--un"}, "--unacked:write the lines that are not acknowledged to this file, which must not exist yet\n"},
		{[]string{"bench", "--no"}, "--no-baseline:do not measure the relay first\n"},
		{[]string{"sub", "--listen"}, ""},
		{[]string{"sub"}, ""},
		{[]string{"sub", "--", "--w"}, ""},
	} {
		var out, stderr bytes.Buffer
		args := append(append([]string{"conch"}, c.words...), completionFlag)
		assert.Equal(t, statusOK, run(args, nothing, nil, &out, &stderr, nil))
		assert.Equal(t, c.want, out.String(), "%q", c.words)
		assert.Empty(t, stderr.String())
	}
}

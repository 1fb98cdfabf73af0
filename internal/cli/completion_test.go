package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

func TestCompletionScripts(t *testing.T) {
	for shell, registers := range map[string]string{
		"bash": "complete -o bashdefault -o default -F _conch conch", "zsh": "compdef _conch conch",
		"fish": "complete -c conch -f -a", "powershell": "Register-ArgumentCompleter -Native -CommandName conch",
	} {
		var out, stderr bytes.Buffer
		require.Equal(t, statusOK, run([]string{"conch", "completion", shell}, nothing, nil, &out, &stderr, nil))
		assert.Contains(t, out.String(), registers)
		assert.Contains(t, out.String(), "--generate-shell-completion")
		assert.NotRegexp(t, `\beval\b|Invoke-Expression`, out.String())
		assert.Empty(t, stderr.String())
	}
}

// candidatesFor are the names that conch prints for a line; the last word is that at the cursor.
func candidatesFor(t *testing.T, url string, line ...string) string {
	t.Helper()
	last := len(line) - 1
	env := environment(map[string]string{completeVariable: line[last], "CONCH_URL": url})
	var out, stderr bytes.Buffer
	args := append(append([]string{"conch"}, line[:last]...), "--generate-shell-completion")
	assert.Equal(t, statusOK, run(args, env, nil, &out, &stderr, nil), line)
	assert.Empty(t, stderr.String(), line)
	var names []string
	for line := range strings.Lines(out.String()) {
		name, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestCompletion(t *testing.T) {
	for _, c := range []struct {
		line []string
		want string
	}{
		{[]string{""}, "serve sub pub do ping top health bench log connect cluster version man help completion"},
		{[]string{"p"}, "pub ping"},
		{[]string{"--slow"}, "--slow-consumer --slow-hard --slow-soft --slow-time"},
		{[]string{"serve", "--slow-c"}, "--slow-consumer"},
		{[]string{":1", "--check"}, "--check"},
		{[]string{"--log-level", ""}, "trace debug info warn error"},
		{[]string{"serve", "--log-level", "d"}, "debug"},
		{[]string{"--log-level=d"}, "--log-level=debug"},
		{[]string{"--protected-mode=f"}, "--protected-mode=false"},
		{[]string{"--protected-mode", ""}, ""},
		{[]string{"--help="}, ""},
		{[]string{"--nosuch=x"}, ""},
		{[]string{"--tls-cert", ""}, ""},
		{[]string{"--tls-cert="}, ""},
		{[]string{"bench", "--dialect", "resp"}, "resp2 resp3"},
		{[]string{"bench", "--dialect=n"}, "--dialect=nats"},
		{[]string{"bench", "--no"}, "--no-baseline"},
		{[]string{"pub", "--un"}, "--unacked"},
		{[]string{"sub", "--where", "price > 1", "--r"}, "--raw"},
		{[]string{"sub", "--fr"}, "--from"},
		{[]string{"sub", "--last", ""}, ""},
		{[]string{"sub", "--where", ""}, ""},
		{[]string{"sub", "-j", "-n", "1", "--un"}, ""},
		{[]string{"sub", "-n", ""}, ""},
		{[]string{"pub", "-j", "-c", "1", "--un"}, "--unacked"},
		{[]string{"sub", "--listen"}, ""},
		{[]string{"sub", "--", "--w"}, ""},
		{[]string{"sub", ""}, ""},
		{[]string{"completion", ""}, "bash zsh fish powershell"},
		{[]string{"man", "s"}, "serve sub"},
		{[]string{"log", ""}, "verify dump stats backup restore compact status"},
		{[]string{"log", "dump", "--st"}, "--stream"},
		{[]string{"nosuch", ""}, ""},
	} {
		assert.Equal(t, c.want, candidatesFor(t, "127.0.0.1:1", c.line...), "%q", c.line)
	}
}

// The clients of a server choose the names of topics: names that a shell could run are no candidates.
func TestCompletionOfTopics(t *testing.T) {
	p := start(t)
	c := harness.Use(t, p.Dial())
	c.Command("SUBSCRIBE", "orders.eu", "orders.us", "news", "orders.$(touch evil)", "orders.`x`", "orders.a b", "orders.;x", "-x", "or*")
	listening(t, p.Address, 9)
	assert.Equal(t, "orders.eu orders.us", candidatesFor(t, p.Address, "sub", "o"))
	assert.Equal(t, "orders.eu", candidatesFor(t, p.Address, "pub", "--url", p.Address, "orders.e"))
	assert.Equal(t, "news orders.eu orders.us", candidatesFor(t, p.Address, "sub", "-j", "news", ""))
	assert.Equal(t, "news", candidatesFor(t, "127.0.0.1:1", "sub", "-u", p.Address, "n"))
	assert.Empty(t, candidatesFor(t, p.Address, "sub", "*"))
}

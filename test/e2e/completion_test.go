//go:build e2e

package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withConch sets the environment so that shells find conch, and conch finds c.
func (c *conch) withConch() {
	c.t.Setenv("PATH", filepath.Dir(binary)+":"+os.Getenv("PATH"))
	c.t.Setenv("CONCH_URL", "conch://"+net.JoinHostPort(c.host, c.port))
}

func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip(program + " is not installed")
	}
}

func TestCompletionInBash(t *testing.T) {
	c := start(t, "")
	c.withConch()
	subscriber := c.run("conch", "sub", "news", "orders:eu", "orders:us")
	_ = subscriber
	c.awaitListener()
	complete := func(line string) string {
		out, err := exec.Command("bash", "--norc", "-c", `source <(conch completion bash)
			COMP_LINE="$1" COMP_POINT=${#1}; _conch conch; echo "${COMPREPLY[@]}"`, "bash", line).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	for line, want := range map[string]string{
		"conch ":                            "serve sub pub do ping top health bench log connect cluster version man help completion",
		"conch p":                           "pub ping",
		"conch completion ":                 "bash zsh fish powershell",
		"conch --slow":                      "--slow-consumer --slow-hard --slow-soft --slow-time",
		"conch --log-level d":               "debug",
		"conch --log-level=d":               "debug", // bash replaces what is behind the equals sign
		"conch bench --dialect ":            "resp2 resp3 line nats",
		"conch sub ":                        "news orders:eu orders:us",
		"conch sub orders:e":                "eu",
		"conch sub news --w":                "--where",
		"conch sub --where 'price > 1' --r": "--raw",
		"conch serve --config ":             "", // bash completes names of files
	} {
		assert.Equal(t, want, complete(line), line)
	}
	c.stop()
}

// tabKeys are the keys after which a terminal shows the completed line, as a comment that nobody runs.
const tabKeys = "\t\x01#\n"

// terminal runs an interactive shell on a terminal, types a line with a TAB at its end, and returns what was shown.
func (c *conch) terminal(shell, setup, line string) string {
	c.t.Helper()
	needs(c.t, "script")
	c.t.Setenv("TERM", "dumb")
	p := c.run("script", "-qec", shell, "/dev/null")
	p.enter(setup + "; echo rea''dy")
	for !strings.HasPrefix(p.line(), "ready") {
	}
	p.enter(line + strings.TrimSuffix(tabKeys, "\n"))
	p.enter("exit")
	return p.rest()
}

// Nothing in the line is evaluated by a TAB.
func TestCompletionOfAHostileLine(t *testing.T) {
	c := start(t, "")
	c.withConch()
	evil := filepath.Join(t.TempDir(), "evil")
	const bash, zsh = "source <(conch completion bash)", "setopt interactivecomments; autoload -Uz compinit; compinit -u -D; source <(conch completion zsh)"
	t.Run("bash", func(t *testing.T) {
		c.t = t
		assert.Contains(t, c.terminal("bash --norc -i", bash, "conch sub $(touch "+evil+") ${x:=y} --js"), "--json")
		c.terminal("bash --norc -i", bash, "conch sub `touch "+evil+"` >"+evil+" --js")
		c.terminal("bash --norc -i", bash, "conch sub $(touch "+evil)
	})
	t.Run("zsh", func(t *testing.T) {
		needs(t, "zsh")
		c.t = t
		assert.Contains(t, c.terminal("zsh -f -i", zsh, "conch sub $(touch "+evil+") `touch "+evil+"` --js"), "--json")
		assert.Contains(t, c.terminal("zsh -f -i", zsh, "conch --log-level=d"), "--log-level=debug")
	})
	t.Run("fish", func(t *testing.T) {
		needs(t, "fish")
		out, err := exec.Command("fish", "-c", `conch completion fish | source
			complete -C "conch sub (touch `+evil+`) \$(touch `+evil+`) --js"
			complete -C "conch --log-level=d"`).CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Regexp(t, `^--json\t.*\n--log-level=debug\n$`, string(out))
	})
	assert.NoFileExists(t, evil)
	c.t = t
	c.stop()
}

// parsePowerShell reads a script from standard input and prints the names of all commands in it, in their order.
const parsePowerShell = `
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Language, Parser } from "web-tree-sitter";
await Parser.init();
const grammar = createRequire(process.cwd() + "/").resolve("tree-sitter-powershell/tree-sitter-powershell.wasm");
const parser = new Parser().setLanguage(await Language.load(grammar));
const script = parser.parse(readFileSync(0, "utf8")).rootNode;
if (script.hasError) throw new Error("does not parse: " + script);
console.log(script.descendantsOfType("command").map((c) => c.childForFieldName("command_name").text).join(" "));`

// PowerShell itself is not run: no package registry that the tests use has it. A grammar of it parses the script and
// shows that it calls nothing that evaluates text.
func TestCompletionInPowerShellParses(t *testing.T) {
	parse := func(script string) (string, error) {
		// The optimizing compiler would take half a minute for the grammar, and node waits for it.
		cmd := exec.Command("node", "--liftoff-only", "--input-type=module", "-e", parsePowerShell)
		cmd.Dir, cmd.Stdin = "../compat/node", strings.NewReader(script)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	script, err := exec.Command(binary, "completion", "powershell").Output()
	require.NoError(t, err)
	commands, err := parse(string(script))
	require.NoError(t, err, commands)
	assert.Equal(t, "Register-ArgumentCompleter Select-Object Where-Object ForEach-Object conch ForEach-Object\n", commands)

	out, err := parse(strings.Replace(string(script), "-lt $cursor }", "-lt $cursor", 1))
	assert.Error(t, err, "a brace that is missing is seen")
	assert.Contains(t, out, "does not parse")
}

// A reader that is gone is no failure, whatever is printed.
func TestAPipeThatClosesEarly(t *testing.T) {
	c := start(t, "")
	c.withConch()
	for _, command := range []string{
		"conch --help", "conch help serve", "conch serve -h", "conch version", "conch man serve", "conch completion bash",
		"conch do COMMAND", "conch do --json COMMAND", "conch ping", "conch health", "conch pub news hi",
	} {
		out, err := exec.Command("bash", "-c", command+` | true; echo "${PIPESTATUS[@]}"`).CombinedOutput()
		require.NoError(t, err)
		assert.Equal(t, "0 0\n", string(out), command)
		out, err = exec.Command("bash", "-c", command+` > /dev/full; echo $?`).CombinedOutput()
		require.NoError(t, err)
		assert.Equal(t, "conch: cannot write: write /dev/stdout: no space left on device\n1\n", string(out), command)
	}
	c.stop()
}

func TestDoAndPing(t *testing.T) {
	c := start(t, "")
	c.withConch()
	assert.Regexp(t, `^PONG from .* ms\n$`, c.run("conch", "ping").rest())
	assert.Equal(t, "max-line\n", c.run("sh", "-c", "conch do --json CONFIG GET max-line | grep -o max-line").rest())
	assert.Equal(t, "0\n0\n", c.run("bash", "-c", `conch do PUBLISH news 'I am'; echo $?`).rest())
	assert.Equal(t, "conch: do: ERR unknown command 'NOSUCH', with args beginning with:\n1\n", c.run("bash", "-c", `conch do NOSUCH; echo $?`).rest())
	c.stop()
}

// Each manual page is one that man shows without a warning.
func TestManPages(t *testing.T) {
	needs(t, "man")
	folder := t.TempDir()
	for _, page := range []string{"", "serve", "sub", "pub", "do", "ping", "health", "bench", "version", "man", "completion"} {
		text, err := exec.Command(binary, append([]string{"man"}, strings.Fields(page)...)...).Output()
		require.NoError(t, err)
		file := filepath.Join(folder, "conch"+page+".1")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		cmd := exec.Command("man", "--warnings", "-l", file)
		cmd.Env = append(os.Environ(), "MANWIDTH=120", "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.NotContains(t, string(out), "warning:")
		assert.Contains(t, string(out), "SYNOPSIS")
	}
}

//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// A program of the documentation, and what it prints when a message is published.
func TestProgramsOfTheDocs(t *testing.T) {
	tests := []struct{ page, language, listensTo, topic, message, prints string }{
		{"README.md", "python", "news", "news", "hello", "news hello"},
		{"README.md", "js", "news", "news", "hello", "news hello"},
		{"README.md", "go", "news", "news", "hello", "news hello"},
		{"docs/predicates.md", "python", "", "orders.eu", `{"price": 150}`, `orders.eu {"price": 150}`},
	}
	for _, test := range tests {
		t.Run(test.page+" "+test.language, func(t *testing.T) {
			all := blocks(t, test.page, test.language)
			require.Len(t, all, 1)
			c := start(t, "")
			text := strings.ReplaceAll(all[0], "8889", c.port)
			out := c.interpret(t, test.language, text)
			c.awaitSubscription(test.listensTo)
			require.Equal(t, "1\n", c.cli("PUBLISH", test.topic, test.message))
			assert.Equal(t, test.prints, out.line())
			c.stop()
		})
	}
}

// interpret runs a program in a language. Python and Node.js have the packages that test/compat/install installs.
func (c *conch) interpret(t *testing.T, language, text string) *program {
	t.Helper()
	switch language {
	case "python":
		return c.run("/usr/bin/python3", "-u", "-c", text)
	case "js":
		return c.runIn("../compat/node", "node", "--input-type=module", "-e", text)
	}
	return c.run(build(t, text))
}

// build compiles statements of Go to a program.
func build(t *testing.T, statements string) (program string) {
	t.Helper()
	dir := t.TempDir()
	program = filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(program+".go", []byte(goProgram(statements)), 0o600))
	out, err := exec.Command("go", "build", "-o", program, program+".go").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// goProgram makes a program of statements that leave their errors unhandled.
func goProgram(statements string) string {
	return `package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/conchmq/conch/client"
)

var _, _ = exec.Command, time.Now

func main() {
	ctx := context.Background()
	fmt.Print()
` + statements + `
	_ = err
}
`
}

// awaitSubscription waits for a subscriber of a topic or, without a topic, for one of a pattern.
func (c *conch) awaitSubscription(topic string) {
	c.t.Helper()
	harness.Eventually(c.t, func() bool {
		if topic == "" {
			return c.cli("PUBSUB", "NUMPAT") == "1\n"
		}
		return c.cli("PUBSUB", "NUMSUB", topic) == topic+"\n1\n"
	}, "a subscription")
}

// The README's way to build and start: it prints nothing on standard output, and serves.
func TestStartOfTheREADME(t *testing.T) {
	all := blocks(t, "README.md", "sh")
	require.Len(t, all, 1)
	t.Setenv("CONCH_LISTEN", "127.0.0.1:0")
	t.Setenv("CONCH_LOG_FORMAT", "json")
	c := launch(t, "sh", "-c", "set -e; cd ../..; "+strings.Replace(all[0], "\nconch\n", "\nexec conch\n", 1))
	assert.Equal(t, "PONG\n", c.cli("PING"))
	c.stop()
}

// The users of docs/configuration.md are an ACL file that works.
func TestUsersOfTheDocs(t *testing.T) {
	all := blocks(t, "docs/configuration.md", "acl")
	require.Len(t, all, 1)
	file := filepath.Join(t.TempDir(), "users.acl")
	require.NoError(t, os.WriteFile(file, []byte(all[0]), 0o600))
	c := start(t, "", "--aclfile", file)
	as := func(user, password string, command ...string) string {
		return c.cli(append([]string{"--no-auth-warning", "--user", user, "--pass", password}, command...)...)
	}
	assert.Equal(t, "0\n", as("shop", "password", "PUBLISH", "orders.eu", "hi"))
	assert.Contains(t, as("shop", "password", "PUBLISH", "news", "hi"), "NOPERM")
	assert.Equal(t, "PONG\n", as("desk", "a-long-random-secret", "PING"))
	assert.Regexp(t, `^[0-9a-zA-Z_-]+\n$`, as("admin", "another-long-random-secret", "ACL", "TOKEN", "CREATE", "desk", "laptop", "86400"))
	assert.Equal(t, "OK\n", as("admin", "another-long-random-secret", "ACL", "TOKEN", "REVOKE", "desk", "laptop"))
	assert.Contains(t, c.cli("PING"), "NOAUTH")
	c.stop()
}

// The Go of docs/clients.md compiles. What it does, the examples of package client show.
func TestGoOfTheDocs(t *testing.T) {
	all := blocks(t, "docs/clients.md", "go")
	require.Len(t, all, 4)
	for _, text := range all {
		build(t, text)
	}
}

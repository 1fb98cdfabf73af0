package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Rules in tables of the file are those of the flag.
func TestRetentionTables(t *testing.T) {
	const tables = `
listen = ":1"
[[retention]]
match = "audit.*"
[[retention]]
match = "logs of a;b"
age = "7d"
count = 1000
bytes = "10gb"
[[retention]]
bytes = 2048
unread = "1gb"
match = "*"
`
	for _, text := range []string{tables, `retention = [{match = "audit.*"}, {match = "logs of a;b", age = "7d", count = 1000, bytes = "10gb"}, {match = "*", bytes = 2048, unread = "1gb"}]`} {
		c, err := Load(line("--config="+tomlFile(t, text)), nothing)
		require.NoError(t, err)
		require.Len(t, c.Store.Settings, 1)
		assert.Equal(t, `audit.*; "logs of a;b" age=7d count=1000 bytes=10gb; * bytes=2kb unread=1gb`, c.Store.Settings[0].Text)
	}
}

func TestRetentionTablesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"[retention]\nmatch = \"a\"":                                    "expected a table for each rule, in two pairs of brackets: [[retention]]",
		"[[retention]]\nage = \"7d\"":                                   "table 1: expected a match, the glob of names, such as match = \"logs.*\"",
		"[[retention]]\nmatch = 5":                                      "table 1: expected a match",
		"[[retention]]\nmatch = \"a\"\nmaxage = 5":                      "table 1: unknown key maxage: expected match, age, count, bytes or unread",
		"[[retention]]\nmatch = \"a\"\nage = 5":                         "table 1: rule a: expected a whole number from 1 on, such as age=7d",
		"[[retention]]\nmatch = \"a\"\ncount = [5]":                     "table 1: count: expected a string, a number or a boolean",
		"[[retention]]\nmatch = \"a\"\ncount = \"\"":                    "table 1: rule a: expected a whole number from 1 on",
		"[[listen]]\nmatch = \"a\"":                                     "expected a string, a number or a boolean",
		"retention = 5":                                                 "",
		"retention = [5]":                                               "expected a string, a number or a boolean",
		strings.Repeat("[[retention]]\nmatch = \"a\"\n", 10_000):        "expected 1000 rules at most",
		"[[retention]]\nmatch = \"" + strings.Repeat("x", 1<<20) + "\"": "expected 65536 at most",
	} {
		_, err := Load(line("--config="+tomlFile(t, text)), nothing)
		if want == "" {
			require.NoError(t, err, "a name, without a limit")
			continue
		}
		require.Error(t, err, text)
		assert.Contains(t, err.Error(), "conch.toml, key ")
		assert.Contains(t, err.Error(), want)
	}
}

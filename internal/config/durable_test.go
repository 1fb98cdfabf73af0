package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDurableTopicsInTheFile(t *testing.T) {
	for text, want := range map[string]string{
		`durable = ["orders.*", "jobs"]`:  "orders.* jobs",
		`durable = "orders.*  jobs"`:      "orders.* jobs",
		`durable = ["a topic", "a", "a"]`: `"a topic" a`,
		`durable = []`:                    "",
	} {
		c, err := Load(line("--config="+tomlFile(t, text)), nothing)
		require.NoError(t, err, text)
		require.Len(t, c.Store.Settings, 1)
		assert.Equal(t, want, c.Store.Settings[0].Text, text)
	}
	for text, want := range map[string]string{
		`durable = [1]`:      `expected a list of globs, such as durable = ["orders.*", "jobs"]`,
		"[durable]\na = 1":   "expected a string, a number or a boolean",
		`durable = '"a'`:     "a glob in quotes must end with one",
		`retention = ["a*"]`: "expected a string, a number or a boolean",
	} {
		_, err := Load(line("--config="+tomlFile(t, text)), nothing)
		assert.ErrorContains(t, err, want, text)
	}
}

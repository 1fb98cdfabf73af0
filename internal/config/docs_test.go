package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// docs/configuration.md has each setting once, in the order of the help, with its default.
func TestSettingsOfTheDocs(t *testing.T) {
	rows := harness.Table(t, "../../docs/configuration.md", "settings")
	require.Len(t, rows, len(settingsTable))
	for i, s := range settingsTable {
		require.Len(t, rows[i], 3)
		assert.Equal(t, []string{s.Name, s.Default}, rows[i][:2])
	}
}

// The settings that the README shows exist, with the defaults that it shows.
func TestOptionsOfTheREADME(t *testing.T) {
	rows := harness.Table(t, "../../README.md", "options")
	assert.Len(t, rows, 6)
	for _, row := range rows {
		s := findSetting(row[0])
		require.NotNil(t, s, row[0])
		assert.Equal(t, s.Default, row[1], row[0])
	}
}

var commented = regexp.MustCompile(`(?m)^# ([a-z-]+) = (.*)$`)

// The sample file loads as it is, and changes nothing. Each setting is in it once, with its default or a valid example.
func TestSampleFile(t *testing.T) {
	const sample = "../../packaging/conch.toml"
	byFile, err := Load(line("--config="+sample), nothing)
	require.NoError(t, err)
	byDefault, err := Load(CommandLine{}, nothing)
	require.NoError(t, err)
	byFile.File, byFile.Reload, byDefault.Reload, byFile.Compiler, byDefault.Compiler = "", nil, nil, nil, nil
	assert.Equal(t, byDefault, byFile)

	text, err := os.ReadFile(sample)
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, m := range commented.FindAllStringSubmatch(string(text), -1) {
		s := findSetting(m[1])
		require.NotNil(t, s, m[1])
		assert.False(t, seen[s.Name], "%s stands there twice", s.Name)
		seen[s.Name] = true
		raw := map[string]any{}
		_, err := toml.Decode(strings.TrimPrefix(m[0], "# "), &raw)
		require.NoError(t, err, m[0])
		value, err := fileValue(s.Name, raw[s.Name])
		require.NoError(t, err, m[0])
		if s.Name != "requirepass-file" { // the only one whose file is read at once
			assert.NoError(t, s.set(&Config{}, value), m[0])
		}
		if s.Default != "" {
			assert.Equal(t, s.Default, value, m[0])
		}
	}
	for _, s := range settingsTable {
		assert.True(t, seen[s.Name], "%s is not in %s", s.Name, sample)
	}
}

var quoted = regexp.MustCompile("`([^`]+)`")

// docs/operations.md has each limit once, by the name of its setting.
func TestLimitsOfTheDocs(t *testing.T) {
	all := ""
	for _, row := range harness.Table(t, "../../docs/operations.md", "limits") {
		all += row[0] + "\n"
		names := quoted.FindAllStringSubmatch(row[0], -1)
		if names == nil { // Table removes the backticks around a whole cell
			names = [][]string{{"", row[0]}}
		}
		for _, m := range names {
			assert.NotNil(t, findSetting(m[1]), m[1])
		}
	}
	for _, s := range settingsTable {
		if strings.HasPrefix(s.Name, "max-") {
			assert.Contains(t, all, s.Name)
		}
	}
}

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/connect"
)

func TestConnectorsOfTheFile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(secret, []byte("from a file\n"), 0o600))
	path := tomlFile(t, `
listen = ":1"
[[source]]
name = "orders-in"
from = "redis://u:${PASS}@h:6379?stream=s"   # a comment
topic = "orders.{stream}"
where = "price > 0"
batch = 10
timeout = "5s"
[[sink]] # another
name = "orders-out"
topic = "orders.*"
to = "redis://u:file:`+secret+`@h?channel=c"
tries = 2
timeout = 7
`)
	c, err := Load(line("--config="+path), environment(map[string]string{"PASS": "x"}))
	require.NoError(t, err)
	in, out := connect.NewConfig(command.Source), connect.NewConfig(command.Sink)
	in.Name, in.URL, in.Topic, in.Where, in.Batch, in.Timeout, in.FromFile = "orders-in", "redis://u:${PASS}@h:6379?stream=s", "orders.{stream}", "price > 0", 10, 5*time.Second, true
	out.Name, out.URL, out.Topic, out.Tries, out.Timeout, out.FromFile = "orders-out", "redis://u:file:"+secret+"@h?channel=c", "orders.*", 2, 7*time.Second, true
	assert.Equal(t, []connect.Config{in, out}, c.Connectors)
	assert.Equal(t, ":1", c.Listen)
}

// The place of an error is that of the character: ^ stands below it in these files.
func TestWrongConnectorsNameFileLineAndColumn(t *testing.T) {
	const source = "[[source]]\nname = \"in\"\nfrom = \"redis://h?stream=s\"\ntopic = \"t\"\n"
	tests := []struct{ sentence, text, at, says string }{
		{"an unknown key", source + `tpoic = "x"`, ":5:1", "did you mean topic?"},
		{"a key of the other direction", source + `tries = 3`, ":5:1", "a source has no such key"},
		{"a key that is indented", source + `  tpoic = "x"`, ":5:3", "tpoic"},
		{"a value of another type", source + `where = true`, ":5:1", "a string or a number"},
		{"a number beyond its bounds", source + `batch = 0`, ":5:9", "from 1"},
		{"a predicate", source + `where = "price >"`, ":5:", "where"},
		{"a missing key", "\n[[source]]\nname = \"a\"\ntopic = \"t\"", ":2:1", "from: is missing"},
		{"a name", "[[source]]\nname = \"a b\"", ":2:1", "letters, digits"},
		{"no name", "[[source]]\nfrom = \"redis://h?stream=s\"", ":1:1", "name"},
		{"two of one name", source + source, ":6:9", "another source in"},
		{"a system that there is not", "[[source]]\nname=\"a\"\nfrom='redsi://h'\ntopic='t'", ":3:7", "known are"},
		{"an option that the system has not", "[[source]]\nname=\"a\"\nfrom = \"redis://h?stream=s&groop=g\"\ntopic='t'", ":3:28", "groop"},
		{"a template", strings.Replace(source, `"t"`, `"t.{strem}"`, 1), ":4:12", "{stream}"},
		{"a variable that is not set", "[[source]]\nname=\"a\"\nfrom = \"redis://u:${NONE}@h?stream=s\"\ntopic='t'", ":3:19", "no variable NONE"},
		{"in a line", `source = [{name = "a"}]`, "", "from"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			path := tomlFile(t, test.text)
			_, err := Load(line("--config="+path), nothing)
			require.Error(t, err)
			assert.Contains(t, err.Error(), path+test.at)
			assert.Contains(t, err.Error(), test.says)
		})
	}
	for _, test := range []struct{ text, says string }{
		{"[source]\nname = 'a'", "[[source]]"}, {"sink = 3", "[[sink]]"}, {"[[sorce]]\nname = 'a'", "did you mean source?"},
		{source + "[[sink]]\nname = 'out'\nto = 'redis://h?stream=s'\ntopic = '*'", "a loop"},
	} {
		_, err := Load(line("--config="+tomlFile(t, test.text)), nothing)
		require.ErrorContains(t, err, test.says)
	}
}

func TestNoErrorShowsAPassword(t *testing.T) {
	for _, url := range []string{"redis://u:pa55@h:x?stream=s", "redis://u:pa55@h?stream=s&x=1", "reids://u:pa55@h", "redis://u:pa55@h/7?stream=s", "redis://u:${P}@h"} {
		_, err := Load(line("--config="+tomlFile(t, "[[source]]\nname='a'\ntopic='t'\nfrom='"+url+"'")), environment(map[string]string{"P": "pa55"}))
		require.Error(t, err, url)
		assert.NotContains(t, err.Error(), "pa55")
	}
}

// The files of examples, with each password in the environment.
func TestTheExamplesAreValid(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/*.toml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		c, err := Load(line("--config="+file), func(name string) (string, bool) {
			if !strings.HasSuffix(name, "_PASSWORD") && !strings.HasSuffix(name, "_SECRET") {
				return "", false
			}
			return "secret", true
		})
		require.NoError(t, err, file)
		assert.NotEmpty(t, c.Connectors)
	}
}

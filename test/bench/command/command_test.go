package command

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"--rounds", "3", "--only", "a", "--duration", "1s"}, ""},
		{[]string{"x"}, `"x" is no flag`},
		{[]string{"--rounds", "0"}, "--rounds is at least 1"},
		{[]string{"--duration", "1ms"}, "--duration is at least 200ms: ticks"},
		{[]string{"--doc", "x", "--only", "a"}, "--doc needs all scenarios: the section is written as a whole; --only may name sections: first, second"},
		{[]string{"--doc", "x", "--only", "first,a"}, "--doc needs all scenarios: the section is written as a whole; --only may name sections: first, second"},
		{[]string{"--doc", "x", "--only", "second"}, ""},
	} {
		o := Options{Duration: time.Second, Shortest: 200 * time.Millisecond, ShortestWhy: "ticks", Sections: []string{"first", "second"}}
		err := o.Parse("test", c.args, io.Discard)
		if c.want == "" {
			assert.NoError(t, err)
			continue
		}
		assert.EqualError(t, err, c.want)
	}
}

func TestSelection(t *testing.T) {
	s := Selection{Servers: "conch,redis"}
	assert.NoError(t, s.Parse("test", []string{"--only", "a,b", "--conch", "file", "--list"}, io.Discard))
	assert.Equal(t, Selection{Only: "a,b", Servers: "conch,redis", Conch: "file", List: true}, s)
	assert.EqualError(t, s.Parse("test", []string{"x"}, io.Discard), `"x" is no flag`)
	assert.Error(t, s.Parse("test", []string{"--rounds", "3"}, io.Discard), "a comparison without rounds")
}

func TestChosen(t *testing.T) {
	name := func(s string) string { return s }
	all := []string{"a", "b", "c"}
	some, err := Chosen(all, name, "")
	assert.NoError(t, err)
	assert.Equal(t, all, some)
	some, err = Chosen(all, name, "c,a")
	assert.NoError(t, err)
	assert.Equal(t, []string{"c", "a"}, some)
	_, err = Chosen(all, name, "d")
	assert.EqualError(t, err, `there is no scenario "d"; --list shows them`)
}

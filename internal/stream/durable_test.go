package stream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
)

func TestGlobsAsText(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		" \n ":                   "",
		"orders.* jobs":          "orders.* jobs",
		"\torders.*\njobs ":      "orders.* jobs",
		"a b a":                  "a b",
		`"a b" "c"`:              `"a b" c`,
		`a=b ;`:                  `"a=b" ";"`,
		`h\*llo[a-z]? ""`:        `h\*llo[a-z]? ""`,
		`"a\x00\"b"`:             `"a\x00\"b"`,
		strings.Repeat("x ", 99): "x",
	} {
		g, err := ParseGlobs(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, g.String())
		again, err := ParseGlobs(want)
		require.NoError(t, err)
		assert.Equal(t, g, again)
		assert.True(t, isGlobs(want))
	}
}

func TestGlobsThatAreRefused(t *testing.T) {
	var many strings.Builder
	for i := range 1001 {
		fmt.Fprint(&many, i, " ")
	}
	for text, want := range map[string]string{
		`"a`:                       `a glob in quotes must end with one, and a blank behind it, such as "a b" c`,
		`"a"b`:                     `a glob in quotes must end with one, and a blank behind it, such as "a b" c`,
		many.String():              "expected 1000 globs at most; one may stand for many names",
		strings.Repeat("x", 65537): "65537 bytes of globs: expected 65536 at most",
	} {
		_, err := ParseGlobs(text)
		require.EqualError(t, err, want, cutText(text))
		assert.False(t, isGlobs(text))
	}
	assert.False(t, isGlobs("a  b"), "it has another form")
}

// A topic is durable if a glob matches it. The answer changes with the globs, and does not depend on what was asked before.
func TestIsDurable(t *testing.T) {
	k := newCore(t)
	long := strings.Repeat("a", maxRuledName+1)
	topics := []string{"a", "ab", "b", "a", "", "a", long, "b"}
	for _, text := range []string{"", "a*", "b", "* x", `""`, "a?", "b a", ""} {
		k.set("durable", text)
		for _, topic := range topics {
			want := false
			for _, glob := range strings.Fields(text) {
				if glob == `""` {
					glob = ""
				}
				want = want || broker.Match(glob, []byte(topic)) && (topic != long || glob == "*")
			}
			for range 2 {
				assert.Equal(t, want, k.s.IsDurable([]byte(topic)), "%q of %q", topic, text)
			}
			var m broker.Matcher
			assert.Equal(t, want, k.s.Durable().Match([]byte(topic), &m))
		}
	}
	assert.True(t, FindSetting("durable").IsGiven(k.s), "none is a value as well")
	k.replay()
}

// Globs that begin alike may meet; a false answer is for sure.
func TestGlobsMayMeet(t *testing.T) {
	g, err := ParseGlobs("d.* exact x?z")
	require.NoError(t, err)
	for _, pattern := range []string{"*", "d*", "d.a", "d.*.b", "[de]*", "exact", "exac?", "x*", `\d.*`} {
		assert.True(t, g.MayMeet(pattern), pattern)
	}
	for _, pattern := range []string{"orders.*", "e.*", "da*", "y?z", ""} {
		assert.Equal(t, pattern == "", g.MayMeet(pattern), pattern)
	}
	assert.False(t, (*Globs)(nil).MayMeet("*"))
}

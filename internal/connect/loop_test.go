package connect

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// loose is a system that takes any option.
var loose = []System{
	{Name: "a", Schemes: []string{"a"}, Meta: []string{"key"}, Source: looseSource, Sink: looseSink},
	{Name: "b", Schemes: []string{"b"}, Source: looseSource, Sink: looseSink},
}

func looseSource(a Address) (Source, error) { clear(a.Query); return &fakeSource{}, nil }
func looseSink(a Address) (Sink, error)     { clear(a.Query); return &fakeSink{}, nil }

func TestLoopsThroughOneProcessAreRefused(t *testing.T) {
	tests := []struct {
		sentence, from, into, topic, to string
		isLoop                          bool
	}{
		{"the same place, and the topics meet", "a://h:1?subject=x", "news", "news", "a://h:1?subject=x", true},
		{"a template may give the sink's topic", "a://h?subject=x", "news.{key}", "news.a", "a://h?subject=x", true},
		{"wildcards of the place that is read", "a://h?subject=eu.>", "n", "*", "a://h?subject=eu.{topic}", true},
		{"topics of MQTT", "a://h?topic=a/+/b/#", "n", "n", "a://h?topic=a/x/b/c", true},
		{"a port that is left out", "a://localhost?subject=x", "n", "n", "a://127.0.0.1:4222?subject=x", true},
		{"one of several hosts", "a://h1,h2?topic=x", "n", "n", "a://h2,h3?topic=x", true},
		{"the default exchange names a queue", "a://h/v?queue=x", "n", "n", "a://h/v?key=x", true},
		{"the path alone", "a://h/p", "n", "n", "a://h/p", true},
		{"an exchange: the other side decides", "a://h/v?queue=x", "n", "n", "a://h/v?exchange=e&key=x", false},
		{"another system", "a://h?subject=x", "n", "n", "b://h?subject=x", false},
		{"another host", "a://h?subject=x", "n", "n", "a://g?subject=x", false},
		{"another port", "a://h:1?subject=x", "n", "n", "a://h:2?subject=x", false},
		{"another path", "a://h/p?queue=x", "n", "n", "a://h/q?key=x", false},
		{"another place", "a://h?subject=in.>", "n", "n", "a://h?subject=out.{topic}", false},
		{"another kind of place", "a://h?channel=x", "n", "n", "a://h?stream=x", false},
		{"topics that do not meet", "a://h?subject=x", "in.{key}", "out.*", "a://h?subject=x", false},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			k := &Compiler{Systems: loose, Limit: 10}
			source := sourceConfig(func(c *Config) { c.URL, c.Topic = test.from, test.into })
			sink := sinkConfig(func(c *Config) { c.URL, c.Topic = test.to, test.topic })
			_, err := k.CompileAll([]Config{source, sink})
			_, again := k.CompileAll([]Config{sink, source})
			if test.isLoop {
				require.ErrorContains(t, err, "loop")
				require.ErrorContains(t, again, "loop")
			} else {
				require.NoError(t, err)
				require.NoError(t, again)
			}
		})
	}
}

func TestDeadLettersDoNotComeBackToTheirSink(t *testing.T) {
	k := &Compiler{Systems: loose, Limit: 10}
	_, err := k.CompileAll([]Config{sinkConfig(func(c *Config) { c.URL, c.Topic, c.Dead = "a://h?subject=x", "news.*", "news.dead" })})
	require.ErrorContains(t, err, "dead letters")
}

func TestTheBrokersAMessagePassed(t *testing.T) {
	assert.Equal(t, []Header{{"x", "y"}, {via, "b1"}}, addPassed([]Header{{"x", "y"}}, "b1"))
	assert.Equal(t, []Header{{"Conch-Via", "b0,b1"}}, addPassed([]Header{{"Conch-Via", "b0"}}, "b1"))
	many := addPassed([]Header{{via, strings.Repeat("b,", 1000)}}, "b1")
	assert.Equal(t, maxPassed, strings.Count(many[0].Value, ",")+1)
	assert.True(t, hasPassed("b0, b1", "b1"))
	assert.False(t, hasPassed("b0,b11", "b1"))
	assert.False(t, hasPassed("", "b1"))
}

// Two globs may meet if a text that is made of one matches the other; against random texts of a small alphabet.
func TestGlobsThatMeet(t *testing.T) {
	r := rand.New(rand.NewPCG(startSeed(t), 0))
	random := func(alphabet string, n int) string {
		var b strings.Builder
		for range r.IntN(n) {
			b.WriteByte(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	compile := func(glob string) *regexp.Regexp {
		return regexp.MustCompile("^" + strings.ReplaceAll(glob, "*", ".*") + "$")
	}
	met := 0
	for range 1000 {
		a, b := random("ab*", 6), random("ab*", 6)
		matchA, matchB := compile(a), compile(b)
		found := false
		for range 200 {
			text := random("ab", 8)
			found = found || (matchA.MatchString(text) && matchB.MatchString(text))
		}
		if found {
			met++
			assert.True(t, mayMeet(a, b), "%q %q", a, b)
		}
		assert.Equal(t, mayMeet(a, b), mayMeet(b, a), "%q %q", a, b)
		if !strings.Contains(a, "*") {
			assert.Equal(t, matchB.MatchString(a), mayMeet(a, b), "%q %q", a, b)
		}
	}
	assert.Positive(t, met)
}

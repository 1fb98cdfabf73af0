package main

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/test/bench/servers"
)

func TestWhoComesFirstChangesFromRoundToRound(t *testing.T) {
	c := &contest{servers: map[string]bool{"conch": true, "redis": true, "nats": true}}
	s := &scenario{who: everybody}
	var got []string
	for round := 1; round <= 5; round++ {
		var names []string
		for _, one := range c.order(s, round) {
			names = append(names, one.name)
		}
		got = append(got, strings.Join(names, " "))
	}
	assert.Equal(t, []string{
		"conch redis nats relay", "redis nats relay conch", "nats relay conch redis", "relay conch redis nats",
		"conch redis nats relay",
	}, got, "and valkey, which is not there, is left out")
}

func TestEachScenarioIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			assert.False(t, seen[s.name], "the name is taken")
			seen[s.name] = true
			assert.NotEqual(t, s.load == nil, s.own == nil, "one of the two measures it")
			assert.Equal(t, conchName, s.who[0].name)
			for _, g := range s.goals {
				assert.Contains(t, s.figures, g.figure)
			}
			for _, one := range s.who {
				if one == relay {
					assert.Zero(t, s.load.Rate, "the relay has no part where the rate is given")
					assert.Equal(t, 1, s.load.Topics)
				} else {
					assert.NotNil(t, servers.Named(one.server))
				}
			}
			if s.load != nil {
				l := *s.load
				l.Address = "127.0.0.1:1"
				require.NoError(t, l.Check())
			}
		})
	}
}

func TestArguments(t *testing.T) {
	tests := []struct{ sentence, args, wrong string }{
		{"nothing is all of it", "", ""},
		{"a quick pass", "--rounds 1 --duration 1s --only 1-1,idle", ""},
		{"no rounds", "--rounds 0", "--rounds is at least 1"},
		{"too short for ticks", "--duration 10ms", "--duration is at least 200ms"},
		{"a document of a part", "--doc x.md --only 1-1", "--doc needs all scenarios"},
		{"a stray word", "everything", `"everything" is no flag`},
		{"an unknown flag", "--fast", "flag provided but not defined"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			_, err := parse(strings.Fields(test.args), io.Discard)
			if test.wrong == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.wrong)
		})
	}
	_, err := chosen("1-1,2-2")
	assert.ErrorContains(t, err, `there is no scenario "2-2"`)
	some, err := chosen("idle,1-1")
	require.NoError(t, err)
	assert.Equal(t, []string{"idle", "1-1"}, []string{some[0].name, some[1].name})
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		sentence, input string
		n               int
		sum             int64
		wrong           string
	}{
		{"receivers of two publishes", ":1\r\n:2\r\n", 2, 3, ""},
		{"a subscribe", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", 1, 1, ""},
		{"NUMSUB of two topics", "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:4\r\n", 1, 5, ""},
		{"nothing to leave", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", 1, 0, ""},
		{"a word", "+OK\r\n", 1, 0, ""},
		{"an error", ":1\r\n-ERR no\r\n", 2, 0, "ERR no"},
		{"an end in the middle", "*3\r\n$9\r\nsubs", 1, 0, "EOF"},
		{"something else", "hello\r\n", 1, 0, "is no reply"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			w := &wire{in: bufio.NewReader(strings.NewReader(test.input))}
			sum, err := w.answers(test.n)
			if test.wrong != "" {
				assert.ErrorContains(t, err, test.wrong)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.sum, sum)
			assert.Zero(t, w.in.Buffered())
		})
	}
}

func TestCommandsAreGathered(t *testing.T) {
	w := &wire{}
	w.command("PING")
	w.command("PUBLISH", "a", "")
	assert.Equal(t, "*1\r\n$4\r\nPING\r\n*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$0\r\n\r\n", string(w.out))
	assert.Equal(t, []string{"t.0", "t.1"}, slices.Collect(slices.Values(names("t.%d", 2))))
}

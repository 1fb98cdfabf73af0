package client

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

const testEpoch = "ef86d081884c7d65"

// scriptedPage is a reply to READ, as a line of a script: entries of the stream s at these positions.
func scriptedPage(next, end int, sequences ...int) string {
	position := func(n int) string {
		text := fmt.Sprintf("%s-%d", testEpoch, n)
		return fmt.Sprintf("$%d|%s", len(text), text)
	}
	line := fmt.Sprintf("*3|%s|*%d", position(next), len(sequences))
	for _, n := range sequences {
		line += fmt.Sprintf("|*4|$1|s|%s|$3|%d-1|*2|$1|f|$1|v", position(n), n)
	}
	return fmt.Sprintf("%s|:%d", line, end)
}

const oldest = "> READ s* COUNT 256 WHERE f == \"v\"\n< "

func fromPage(n int) string {
	return fmt.Sprintf("> READ s* FROM %s-%d COUNT 256 WHERE f == \"v\"\n< ", testEpoch, n)
}

// What a loop over a scripted server yields. Each script is a connection.
func TestEntriesOverScripts(t *testing.T) {
	one := []string{"s 1-1 f=v"}
	tests := []struct {
		sentence string
		scripts  []string
		shown    []string
		fails    string // part of the error
	}{
		{"no entry", []string{oldest + scriptedPage(5, 1)}, nil, ""},
		{"two pages", []string{oldest + scriptedPage(2, 0, 1) + "\n" + fromPage(2) + scriptedPage(9, 1, 7)}, []string{"s 1-1 f=v", "s 7-1 f=v"}, ""},
		{"an empty page", []string{oldest + scriptedPage(5, 0) + "\n" + fromPage(5) + scriptedPage(9, 1, 7)}, []string{"s 7-1 f=v"}, ""},
		{
			"a break behind an entry", []string{oldest + strings.Split(scriptedPage(9, 1, 1, 5), "|*4|$1|s|$18|"+testEpoch+"-5")[0], fromPage(2) + scriptedPage(9, 1, 5)},
			[]string{"s 1-1 f=v", "s 5-1 f=v"}, "",
		},
		{"a break behind a page", []string{oldest + scriptedPage(3, 0, 1), fromPage(3) + scriptedPage(9, 1)}, one, ""},
		{"a refusal", []string{oldest + "-ERR no"}, nil, "ERR no"},
		{"an array of two", []string{oldest + "*2|$1|a|*0"}, nil, "malformed"},
		{"no position", []string{oldest + "*3|$1|a|*0|:1"}, nil, "malformed"},
		{"a null in place of entries", []string{oldest + strings.Replace(scriptedPage(5, 1), "*0", "*-1", 1)}, nil, "malformed"},
		{"a position that goes back", []string{oldest + scriptedPage(9, 1, 1, 1)}, one, "malformed"},
		{"an entry without a position", []string{oldest + strings.Replace(scriptedPage(9, 1, 1), "$18|"+testEpoch+"-1", "$1|x", 1)}, nil, "malformed"},
		{"no end", []string{oldest + strings.TrimSuffix(scriptedPage(9, 1, 1), ":1") + "$1|x"}, one, "malformed"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				scripts := []string{resp3 + "hang"} // of Dial
				for _, script := range test.scripts {
					scripts = append(scripts, resp3+script)
				}
				_, o := serve(t, scripts...)
				c, err := Dial(t.Context(), o)
				require.NoError(t, err)
				shown, err := collect(c.Entries(t.Context(), Query{Streams: []string{"s*"}, Where: `f == "v"`}), -1)
				assert.Equal(t, test.shown, shown)
				if test.fails == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, test.fails)
				}
				require.NoError(t, c.Close())
			})
		})
	}
}

// Entries come in the one order, over all streams, from any position.
func TestEntries(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c, err := DialURL(t.Context(), s.URL())
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	var want, positions []string
	for i := range 600 {
		stream := fmt.Sprintf("orders.%d", i%40)
		_, err := c.Append(t.Context(), stream, []Field{{"price", fmt.Sprint(i)}})
		require.NoError(t, err)
		want = append(want, fmt.Sprintf("%s %d", stream, i))
	}
	read := func(q Query) (shown []string) {
		positions = nil
		for e, err := range c.Entries(t.Context(), q) {
			require.NoError(t, err)
			shown = append(shown, e.Stream+" "+e.Get("price"))
			positions = append(positions, e.Position)
		}
		return shown
	}
	assert.Equal(t, want, read(Query{Streams: []string{"orders.*"}}))
	behind, err := AfterPosition(positions[499])
	require.NoError(t, err)
	assert.Equal(t, want[500:], read(Query{Streams: []string{"orders.*"}, From: behind}))
	assert.Equal(t, want[5:6], read(Query{Streams: []string{"orders.5", "none"}, Where: "price < 40"}))
	assert.Equal(t, want[597:], read(Query{Streams: []string{"*"}, Last: 3}))

	for _, q := range []Query{{}, {Streams: []string{"a"}, From: "0", Last: 1}, {Streams: []string{"a"}, Last: -1}} {
		_, err := collect(c.Entries(t.Context(), q), -1)
		assert.ErrorIs(t, err, ErrInvalidOption)
	}
	_, err = AfterPosition("12")
	assert.ErrorIs(t, err, ErrInvalidOption)
}

package main

import (
	"bufio"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIDsOfGroupReplies(t *testing.T) {
	const entry = "*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\nx\r\n"
	tests := []struct {
		sentence, input string
		ids             []string
		wrong           string
	}{
		{"none", "*-1\r\n", nil, ""},
		{"one", "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n" + entry, []string{"1-1"}, ""},
		{"one that was claimed", "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*4\r\n$3\r\n2-7\r\n*0\r\n:5\r\n:1\r\n", []string{"2-7"}, ""},
		{"an error", "-NOGROUP none\r\n", nil, "NOGROUP none"},
		{"no entry", "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n:1\r\n", nil, "in the place of a header"},
		{"an end in the middle", "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n" + entry[:20], nil, "EOF"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			w := &wire{in: bufio.NewReader(strings.NewReader(test.input))}
			ids, err := w.groupEntries(nil)
			if test.wrong != "" {
				assert.ErrorContains(t, err, test.wrong)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.ids, ids)
			assert.Zero(t, w.in.Buffered())
		})
	}
}

package main

import (
	"bufio"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAcknowledgements(t *testing.T) {
	const (
		id  = "$15\r\n1700000000000-0\r\n"
		ack = "MSG _INBOX.0 1 27\r\n{\"stream\":\"S\", \"seq\":1}\r\n"
	)
	tests := []struct {
		sentence, inbox, input string
		count                  int
		wrong                  string
	}{
		{"none", "", "", 0, ""},
		{"two ids", "", id + id, 2, ""},
		{"half an id", "", id[:12], 0, ""},
		{"a refusal behind an id", "", id + "-ERR no\r\n", 1, "ERR no"},
		{"two of JetStream", "_INBOX.0", ack + ack, 2, ""},
		{"a refusal of JetStream", "_INBOX.0", "MSG _INBOX.0 1 27\r\n{\"error\":{}}\r\n", 1, "refused"},
		{"an error of NATS", "_INBOX.0", "-ERR 'no'\r\n", 0, "no"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			a := &appender{inbox: test.inbox, partial: '\n'}
			count, err := a.acknowledged([]byte(test.input))
			assert.Equal(t, test.count, count)
			if test.wrong != "" {
				assert.ErrorContains(t, err, test.wrong)
				return
			}
			require.NoError(t, err)
			byBytes := &appender{inbox: test.inbox, partial: '\n'}
			count = 0
			for i := range len(test.input) {
				one, err := byBytes.acknowledged([]byte{test.input[i]})
				require.NoError(t, err)
				count += one
			}
			assert.Equal(t, test.count, count, "the same, byte by byte")
		})
	}
}

// All blocks together append to each stream as often as to any other, and each has a payload of its own.
func TestBlocks(t *testing.T) {
	for _, count := range []int{1, 10, 1000} {
		a := &appender{}
		streams, payloads, all := map[string]int{}, map[string]bool{}, 0
		for _, block := range blocks(a, 2, 100, count) {
			lines := strings.Split(string(block), "\r\n")
			for ; len(lines) > 1; lines = lines[11:] {
				require.Equal(t, []string{"XADD", "*", "data"}, []string{lines[2], lines[6], lines[8]})
				require.Len(t, lines[10], 100)
				streams[lines[4]]++
				payloads[lines[10]] = true
				all++
			}
		}
		assert.Len(t, streams, count)
		assert.Len(t, payloads, all)
		for name, n := range streams {
			assert.Equal(t, all/count, n, name)
		}
	}
	assert.Equal(t, "PUB s.7 _INBOX.1 2\r\nhi\r\n", string((&appender{inbox: "_INBOX.1"}).command(nil, 7, "hi")))
	random := rand.New(rand.NewPCG(1, 1))
	assert.Len(t, payload(random, 1024), 1024)
}

func TestEntriesOfReplies(t *testing.T) {
	const two = "*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$4\r\ndata\r\n$1\r\nx\r\n*2\r\n$3\r\n2-7\r\n*2\r\n$4\r\ndata\r\n$1\r\nx\r\n"
	tests := []struct {
		sentence, input string
		xread           bool
		count           int
		last, wrong     string
	}{
		{"none", "*0\r\n", false, 0, "", ""},
		{"two", two, false, 2, "2-7", ""},
		{"two of XREAD", "*1\r\n*2\r\n$1\r\ns\r\n" + two, true, 2, "2-7", ""},
		{"none of XREAD", "*-1\r\n", true, 0, "", ""},
		{"an error", "-ERR no\r\n", false, 0, "", "no reply of entries"},
		{"an error of XREAD", "-ERR no\r\n", true, 0, "", "no reply to XREAD"},
		{"what is no entry", "*1\r\n" + strings.Repeat("+\r\n", 8), false, 0, "", "no id"},
		{"an end in the middle", two[:30], false, 0, "", "EOF"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			w := &wire{in: bufio.NewReader(strings.NewReader(test.input))}
			count, last, err := w.readEntries(test.xread)
			if test.wrong != "" {
				assert.ErrorContains(t, err, test.wrong)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.count, count)
			assert.Equal(t, test.last, last)
			assert.Zero(t, w.in.Buffered())
		})
	}
}

package protocol

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// findRun returns the first command of in and its run.
func findRun(t *testing.T, in string, l Limits) (r Run, rest string, buf []byte) {
	t.Helper()
	buf = []byte(in)
	c, used, ok, err := NewReader(l).take(buf, nil)
	require.True(t, ok)
	require.Nil(t, err)
	end := r.Scan(c.Args, buf, used, nil, l.WithDefaults().Message)
	return r, in[end:], buf
}

func TestFind(t *testing.T) {
	pub := func(payload string) string { return bulks("PUBLISH", "news", payload) }
	long := strings.Repeat("x", 100)
	tests := []struct {
		sentence string
		in       string
		payloads []string
		rest     string
	}{
		{"one command is a run", pub("a"), []string{"a"}, ""},
		{"commands to the same topic are one run", pub("a") + pub("b") + pub("c"), []string{"a", "b", "c"}, ""},
		{"payloads may differ in length", pub("") + pub(long) + pub("a"), []string{"", long, "a"}, ""},
		{"what was skipped before it is no part of it", "\r\n*0\r\n*-1\r\n" + pub("a") + pub("b"), []string{"a", "b"}, ""},
		{"another topic ends it", pub("a") + bulks("PUBLISH", "newt", "b"), []string{"a"}, bulks("PUBLISH", "newt", "b")},
		{"a longer topic ends it", pub("a") + bulks("PUBLISH", "newsy", "b"), []string{"a"}, bulks("PUBLISH", "newsy", "b")},
		{"another spelling ends it", pub("a") + bulks("publish", "news", "b"), []string{"a"}, bulks("publish", "news", "b")},
		{"lower case makes a run of its own", bulks("publish", "t", "b") + bulks("publish", "t", "c"), []string{"b", "c"}, ""},
		{"another command ends it", pub("a") + "PING\r\n", []string{"a"}, "PING\r\n"},
		{"shards make runs", bulks("SPUBLISH", "s", "1") + bulks("SPUBLISH", "s", "22"), []string{"1", "22"}, ""},
		{"half a command ends it", pub("a") + pub("b")[:20], []string{"a"}, pub("b")[:20]},
		{"all but the last byte is half a command", pub("a") + strings.TrimSuffix(pub("b"), "\n"), []string{"a"}, strings.TrimSuffix(pub("b"), "\n")},
		{
			"a payload without its line end ends it", pub("a") + "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$1\r\nbcd",
			[]string{"a"}, "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$1\r\nbcd",
		},
		{
			"a length that is no number ends it", pub("a") + "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$x\r\nb\r\n",
			[]string{"a"}, "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$x\r\nb\r\n",
		},
		{
			"a length with a leading zero ends it", pub("a") + "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$01\r\nb\r\n",
			[]string{"a"}, "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$01\r\nb\r\n",
		},
		{
			"a length that overflows ends it", pub("a") + "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$9223372036854775807\r\nb\r\n",
			[]string{"a"}, "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$9223372036854775807\r\nb\r\n",
		},
		{
			"a length without LF ends it", pub("a") + "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$2\rxb\r\n",
			[]string{"a"}, "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$2\rxb\r\n",
		},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			r, rest, _ := findRun(t, test.in, Limits{})
			assert.Equal(t, test.payloads, texts(r.Payloads))
			assert.Equal(t, test.rest, rest)
		})
	}
	t.Run("a payload over the limit ends it", func(t *testing.T) {
		_, rest, _ := findRun(t, pub("a")+pub("four"), Limits{Message: 3 + len("news")})
		assert.Empty(t, rest)
		_, rest, _ = findRun(t, pub("a")+pub("12345678"), Limits{Message: 7})
		assert.Equal(t, pub("12345678"), rest)
	})
}

// A rewritten run has the bytes of the messages encoded one by one.
func TestARunBecomesItsMessages(t *testing.T) {
	for _, command := range []string{"PUBLISH", "publish", "SPUBLISH"} {
		for _, topic := range []string{"", "n", "0123456789", strings.Repeat("t", 1000)} {
			t.Run(fmt.Sprintf("%s %.10s", command, topic), func(t *testing.T) {
				kind := "message"
				if len(command) == 8 {
					kind = "smessage"
				}
				var in, want2, want3 []byte
				for _, size := range []int{0, 1, 9, 10, 99, 100, 1000, 3} {
					payload := bytes.Repeat([]byte{'p'}, size)
					in = append(in, bulks(command, topic, string(payload))...)
					want2 = RESP2.AppendMessage(want2, kind, []byte(topic), payload)
					want3 = RESP3.AppendMessage(want3, kind, []byte(topic), payload)
				}
				r, rest, buf := findRun(t, string(in), Limits{})
				require.Empty(t, rest)
				r.RewriteAsMessages()
				assert.Equal(t, string(want3), string(r.AppendFrames(nil, RESP3)), "a copy in RESP3")
				assert.Equal(t, string(want2), string(r.AppendFrames(nil, RESP2)), "a copy in RESP2")
				r.SetVersion(RESP3)
				assert.Equal(t, string(want3), string(buf), "in place in RESP3")
				r.SetVersion(RESP2)
				assert.Equal(t, string(want2), string(buf), "in place in RESP2")
			})
		}
	}
}

func TestFindLines(t *testing.T) {
	tests := []struct {
		sentence string
		in       string
		payloads []string
		rest     string
	}{
		{"one line is a run", "PUB a b\n", []string{"b"}, ""},
		{"lines to the same topic are one run", "PUB a b\nPUB a I'm a message!\nPUB a \n", []string{"b", "I'm a message!", ""}, ""},
		{"so are lines that end in CRLF", "PUB a b\r\nPUB a c\r\n", []string{"b", "c"}, ""},
		{"another ending ends it", "PUB a b\r\nPUB a c\n", []string{"b"}, "PUB a c\n"},
		{"and so the other way round", "PUB a b\nPUB a c\r\n", []string{"b"}, "PUB a c\r\n"},
		{"another topic ends it", "PUB a b\nPUB ab c\n", []string{"b"}, "PUB ab c\n"},
		{"another spelling ends it", "PUB a b\npub a c\n", []string{"b"}, "pub a c\n"},
		{"without a message it is for Next", "PUB a b\nPUB a\n", []string{"b"}, "PUB a\n"},
		{"half a line ends it", "PUB a b\nPUB a c", []string{"b"}, "PUB a c"},
		{"telnet's sequences end it", "PUB a b\nPUB a c\xff\xff\n", []string{"b"}, "PUB a c\xff\xff\n"},
		{"telnet's sequences in the first line make it a run of one", "PUB a\xff\xf1 b\nPUB a c\n", []string{"b"}, "PUB a c\n"},
		{
			"also if what is left looks as if nothing had been there", "PUB PUB x\xff\xf1\xff\xf1\nPUB x\xff\xf1\xff\xf1hello there\n",
			[]string{"x"}, "PUB x\xff\xf1\xff\xf1hello there\n",
		},
		{"telnet's sequences between CR and LF do so", "PUB a b\r\xff\xf1\nPUB a c\r\n", []string{"b"}, "PUB a c\r\n"},
		{"telnet's sequences before the line do not", "\xff\xfb\x01PUB a b\nPUB a c\n", []string{"b", "c"}, ""},
		{"so do further blanks", "PUB  a b\nPUB  a c\n", []string{"b"}, "PUB  a c\n"},
		{"a CR inside belongs to the message", "PUB a b\rc\nPUB a d\re\n", []string{"b\rc", "d\re"}, ""},
		{"a line over the limit is for Next", "PUB a b\nPUB a " + strings.Repeat("x", 90) + "\n", []string{"b"}, "PUB a " + strings.Repeat("x", 90) + "\n"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			buf, l := []byte(test.in), Limits{Line: 80}.WithDefaults()
			c, used, ok, err := NewReader(l).take(buf, nil)
			require.True(t, ok && err == nil)
			var r Run
			end := r.ScanLines(&c, buf, used, nil, l.Line)
			assert.Equal(t, test.payloads, texts(r.Payloads))
			assert.Equal(t, test.rest, test.in[end:])
			assert.Empty(t, r.Frames)
		})
	}
}

func TestNextPublish(t *testing.T) {
	l := Limits{Message: 200, Topic: 5}.WithDefaults()
	for _, test := range []struct {
		sentence, in string
		args         []string
	}{
		{"another topic", bulks("PUBLISH", "other", "hi") + "rest", []string{"PUBLISH", "other", "hi"}},
		{"nothing said about nothing", bulks("PUBLISH", "", ""), []string{"PUBLISH", "", ""}},
		{"lengths of several digits", bulks("PUBLISH", "t", strings.Repeat("x", 123)), []string{"PUBLISH", "t", strings.Repeat("x", 123)}},
		{"another spelling is for Next", bulks("publish", "t", "hi"), nil},
		{"another command is for Next", bulks("ECHO", "t", "hi"), nil},
		{"an argument too many is for Next", bulks("PUBLISH", "t", "hi", "ho"), nil},
		{"a topic over the limit is for Next", bulks("PUBLISH", "longer", "hi"), nil},
		{"a message over the limit is for Next", bulks("PUBLISH", "t", strings.Repeat("x", 201)), nil},
		{"a leading zero is for Next", "*3\r\n$7\r\nPUBLISH\r\n$01\r\nt\r\n$1\r\nx\r\n", nil},
		{"a negative length is for Next", "*3\r\n$7\r\nPUBLISH\r\n$-1\r\n$1\r\nx\r\n", nil},
		{"no length is for Next", "*3\r\n$7\r\nPUBLISH\r\n$\r\nt\r\n$1\r\nx\r\n", nil},
		{"a giant length is for Next", "*3\r\n$7\r\nPUBLISH\r\n$99999999999999999999\r\nt\r\n$1\r\nx\r\n", nil},
		{"a line end that is not there is for Next", "*3\r\n$7\r\nPUBLISH\r\n$1\r\ntx\r\n$1\r\nx\r\n", nil},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			args, n := NextPublish([]byte(test.in), []byte("PUBLISH"), nil, &l)
			assert.Equal(t, test.args, texts(args))
			if test.args != nil {
				assert.Equal(t, len(bulks(test.args...)), n)
				for cut := range n {
					_, n := NextPublish([]byte(test.in)[:cut], []byte("PUBLISH"), nil, &l)
					assert.Zero(t, n, "half of it is for Next")
				}
			}
		})
	}
}

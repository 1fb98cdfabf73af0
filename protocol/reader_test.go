package protocol

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// feed passes pieces of a stream to a Reader as a connection does. It returns one string for each command, and the fatal
// error last if there is one.
func feed(t testing.TB, l Limits, pieces ...[]byte) []string {
	t.Helper()
	r := NewReader(l)
	var rest []byte
	var got []string
	for _, piece := range pieces {
		buf := append(append([]byte(nil), rest...), piece...) // a fresh buffer each time: offsets must survive the move
		for {
			c, used, ok, err := r.take(buf, nil)
			require.LessOrEqual(t, used, len(buf))
			buf = buf[used:]
			if err != nil {
				require.True(t, err.Fatal)
				return append(got, err.Error())
			}
			if !ok {
				break
			}
			got = append(got, describe(&c))
		}
		rest = buf
	}
	return got
}

func describe(c *Command) string {
	name := [...]string{RESP: "resp", Inline: "inline", Line: "line"}[c.Dialect]
	if c.CRLF {
		name += "+cr"
	}
	if c.Err != nil {
		return name + " " + c.Err.Error()
	}
	return name + fmt.Sprintf(" %q", c.Args)
}

func TestReader(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"half a line is no command", "PING", nil},
		{"the message is what follows one space, quotes and all", "PUB a I'm a \"message\"!\n", []string{`line ["PUB" "a" "I'm a \"message\"!"]`}},
		{"further spaces belong to the message", "PUB a   two  spaces  \n", []string{`line ["PUB" "a" "  two  spaces  "]`}},
		{"a space and nothing behind it is the empty message", "PUB a \r\n", []string{`line+cr ["PUB" "a" ""]`}},
		{"no space is no message", "PUB a\n", []string{`line ERR PUB needs a topic, one space, and a message; type: PUB topic message`}},
		{"no topic", "pub\n", []string{`line ERR PUB needs a topic, one space, and a message; type: PUB topic message`}},
		{"tabs separate as spaces do", "PUB\ta\thi\tho\n", []string{`line ["PUB" "a" "hi\tho"]`}},
		{"verbs come in any case", "sUb a b\nunsub\n", []string{`line ["sUb" "a" "b"]`, `line ["unsub"]`}},
		{"SUB needs a topic", "SUB  \n", []string{`line ERR SUB needs a topic; type: SUB topic [topic ...]`}},
		{"WHERE begins a predicate, which holds for each name", "SUB a \t b  WHERE \t price > 1 WHERE \nunsub a WHERE x\r\n", []string{
			`line ["SUB" "a WHERE price > 1 WHERE" "b WHERE price > 1 WHERE"]`, `line+cr ["unsub" "a WHERE x"]`}},
		{"FROM and LAST begin a position, in front of a predicate", "SUB a b FROM  #1 \t WHERE  x  > 1\nPSUB a LAST \t 10 \n", []string{
			`line ["SUB" "a FROM #1 WHERE x  > 1" "b FROM #1 WHERE x  > 1"]`, `line ["PSUB" "a LAST 10"]`}},
		{"they want a position", "SUB a FROM\nSUB a LAST WHERE x\nSUB a FROM 0 WHERE \nSUB FROM 0\n", []string{
			`line ERR FROM needs a position behind it, such as FROM 0 or LAST 10; type: SUB topic [topic ...]`,
			`line ERR LAST needs a position behind it, such as FROM 0 or LAST 10; type: SUB topic [topic ...]`,
			`line ERR WHERE needs a predicate behind it, such as price > 100; type: SUB topic [topic ...]`,
			`line ERR FROM is reserved and cannot be a topic here; type: SUB topic [topic ...]`}},
		{"WHERE is no topic, and wants a predicate", "SUB WHERE x\nPSUB a WHERE \nPUB WHERE x\nSLOW a WHERE x\n", []string{
			`line ERR WHERE is reserved and cannot be a topic here; type: SUB topic [topic ...]`,
			`line ERR WHERE needs a predicate behind it, such as price > 100; type: PSUB glob [glob ...]`,
			`line ERR WHERE is reserved and cannot be a topic here; type: PUB topic message`,
			`line ERR WHERE is reserved and cannot be a topic here; type: SLOW [policy]`}},
		{"FROM and LAST too, and for PUB", "PUB FROM x\nPSUB LAST\n", []string{
			`line ERR FROM is reserved and cannot be a topic here; type: PUB topic message`,
			`line ERR LAST is reserved and cannot be a topic here; type: PSUB glob [glob ...]`}},
		{"in other letters they are topics", "SUB where last\n", []string{`line ["SUB" "where" "last"]`}},
		{"empty lines are nothing", "\n\r\n  \n\t\nPING\n", []string{`inline ["PING"]`}},
		{"any other word is Redis inline, with its quoting", `SET "a\x41\n" 'b"' c'd` + "'\n", []string{`inline ["SET" "aA\n" "b\"" "cd"]`}},
		{"unbalanced quotes are fatal", "PING\nECHO it's\nPING\n", []string{`inline ["PING"]`, `ERR Protocol error: unbalanced quotes in request`}},
		{"a quote must end a word", `ECHO "a"b` + "\n", []string{`ERR Protocol error: unbalanced quotes in request`}},
		{"RESP", "*2\r\n$4\r\nECHO\r\n$3\r\na\r\n\r\n", []string{`resp ["ECHO" "a\r\n"]`}},
		{"RESP and lines alternate", "*1\r\n$4\r\nPING\r\nPUB a *1\n*1\r\n$4\r\nPING\r\n", []string{
			`resp ["PING"]`, `line ["PUB" "a" "*1"]`, `resp ["PING"]`}},
		{"*0 and *-1 are nothing", "*0\r\n*-1\r\n*1\r\n$0\r\n\r\n", []string{`resp [""]`}},
		{"telnet's sequences are skipped", "\xff\xfb\x1f\xff\xfa\x1f\x00\x0a\x00\x18\xff\xf0PI\xff\xf1NG\n", []string{`inline ["PING"]`}},
		{"a window size of ten columns does not end the line", "PUB a x\xff\xfa\x1f\x00\x0a\xff\xf0y\n", []string{`line ["PUB" "a" "xy"]`}},
		{"IAC IAC is one byte", "PUB a x\xff\xffy\n\xff\xff\n", []string{`line ["PUB" "a" "x\xffy"]`, `inline ["\xff"]`}},
		{"telnet's sequences may stand before RESP", "\xff\xfd\x03*1\r\n$4\r\nPING\r\n", []string{`resp ["PING"]`}},
		{"in RESP every byte is itself", "*2\r\n$4\r\nECHO\r\n$3\r\n\xff\xfb\x01\r\n", []string{`resp ["ECHO" "\xff\xfb\x01"]`}},
		{"a line that starts with $ is a line", "$5 today\n", []string{`inline ["$5" "today"]`}},

		{"count: not a number", "*a\r\n", []string{"ERR Protocol error: invalid multibulk length"}},
		{"count: empty", "*\r\n", []string{"ERR Protocol error: invalid multibulk length"}},
		{"count: leading zero", "*01\r\n", []string{"ERR Protocol error: invalid multibulk length"}},
		{"count: plus sign", "*+1\r\n", []string{"ERR Protocol error: invalid multibulk length"}},
		{"count: over the limit", "*1048577\r\n", []string{"ERR Protocol error: invalid multibulk length (over --max-arguments 1048576)"}},
		{"count: overflows 64 bits", "*18446744073709551617\r\n", []string{"ERR Protocol error: invalid multibulk length"}},
		{"count: never ends", "*" + strings.Repeat("1", maxHeader+1), []string{"ERR Protocol error: too big mbulk count string"}},
		{"count: CR without LF", "*1\rx", []string{"ERR Protocol error: invalid multibulk length"}},
		{"bulk: another type", "*1\r\n:1\r\n", []string{"ERR Protocol error: expected '$', got ':'"}},
		{"bulk: a control byte", "*1\r\n\r\n", []string{`ERR Protocol error: expected '$', got '\r'`}},
		{"bulk: negative", "*1\r\n$-2\r\n", []string{"ERR Protocol error: invalid bulk length"}},
		{"bulk: the 26 bytes", "*1\r\n$9223372036854775807\r\n", []string{"ERR Protocol error: invalid bulk length (over --max-message 16777216)"}},
		{"bulk: overflows 64 bits", "*1\r\n$9223372036854775808\r\n", []string{"ERR Protocol error: invalid bulk length"}},
		{"bulk: over the limit", "*1\r\n$16777217\r\n", []string{"ERR Protocol error: invalid bulk length (over --max-message 16777216)"}},
		{"bulk: never ends", "*1\r\n$" + strings.Repeat("1", maxHeader), []string{"ERR Protocol error: too big bulk count string"}},
		{"bulk: longer than it said", "*1\r\n$4\r\nPINGS\r\n", []string{"ERR Protocol error: invalid bulk length (no line end after 4 bytes)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := []byte(tt.in)
			assert.Equal(t, tt.want, feed(t, Limits{}, in), "in one piece")
			assert.Equal(t, tt.want, feed(t, Limits{}, bytewise(in)...), "byte by byte")
			for i := range min(len(in), 200) {
				assert.Equal(t, tt.want, feed(t, Limits{}, in[:i], in[i:]), "split at %d", i)
			}
		})
	}
}

func bytewise(in []byte) [][]byte {
	var pieces [][]byte
	for i := range in {
		pieces = append(pieces, in[i:i+1])
	}
	return pieces
}

func bulks(args ...string) string {
	b := AppendArray(nil, len(args))
	for _, arg := range args {
		b = AppendBulkString(b, arg)
	}
	return string(b)
}

func TestLimits(t *testing.T) {
	limits := Limits{Message: 10, Line: 20, Topic: 5, Arguments: 3, Command: 1}
	fill := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		name        string
		make        func(n int) string
		limit       int
		want, above string
	}{
		{"message", func(n int) string { return bulks("A", fill(n)) }, 10,
			"resp", "ERR Protocol error: invalid bulk length (over --max-message 10)"},
		{"arguments", func(n int) string { return bulks(strings.Split(fill(n), "")...) }, 3,
			"resp", "ERR Protocol error: invalid multibulk length (over --max-arguments 3)"},
		{"line, ended by LF", func(n int) string { return fill(n) + "\n" }, 20,
			"inline", "ERR Protocol error: too big inline request (over --max-line 20)"},
		{"line, ended by CRLF", func(n int) string { return fill(n) + "\r\n" }, 20,
			"inline", "ERR Protocol error: too big inline request (over --max-line 20)"},
		{"line of a verb", func(n int) string { return "PUB a " + fill(n-6) + "\n" }, 20,
			"line", "ERR Protocol error: too big inline request (over --max-line 20)"},
		{"line with telnet sequences, which count", func(n int) string { return fill(n-3) + "\xff\xfb\x01\n" }, 20,
			"inline", "ERR Protocol error: too big inline request (over --max-line 20)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{tt.limit - 1, tt.limit, tt.limit + 1} {
				for _, pieces := range [][][]byte{{[]byte(tt.make(n))}, bytewise([]byte(tt.make(n)))} {
					got := feed(t, limits, pieces...)
					require.Len(t, got, 1, "%d of %d", n, tt.limit)
					if n <= tt.limit {
						assert.True(t, strings.HasPrefix(got[0], tt.want), got[0])
					} else {
						assert.Equal(t, tt.above, got[0])
					}
				}
			}
		})
	}
	t.Run("topic", func(t *testing.T) {
		assert.Nil(t, limits.CheckTopic([]byte("1234")))
		assert.Nil(t, limits.CheckTopic([]byte("12345")))
		assert.EqualError(t, limits.CheckTopic([]byte("123456")), "ERR topic of 6 bytes is longer than 5 (--max-topic)")
	})
	t.Run("command as a whole", func(t *testing.T) {
		l := Limits{Message: 2000, Topic: 1, Command: 1} // at least Message+Topic+1024
		total := l.WithDefaults().Command
		require.Equal(t, 3025, total)
		first := len("*2\r\n$2000\r\n") + 2000 + len("\r\n$1000\r\n")
		for _, n := range []int{total - first - 1, total - first, total - first + 1} {
			got := feed(t, l, []byte(bulks(fill(2000), fill(n))))
			require.Len(t, got, 1)
			assert.Equal(t, n > total-first, strings.Contains(got[0], "command over --max-command 3025"), "%d", n)
		}
	})
	t.Run("a line over the limit is refused before it ends", func(t *testing.T) {
		assert.Equal(t, []string{"ERR Protocol error: too big inline request (over --max-line 20)"}, feed(t, limits, []byte(fill(21))))
	})
	t.Run("an endless negotiation takes no memory", func(t *testing.T) {
		r := NewReader(limits)
		for range 1000 {
			_, used, ok, err := r.take([]byte("\xff\xfb\x01\xff\xfa\x18xxxxx"), nil)
			require.Nil(t, err)
			require.False(t, ok)
			require.Equal(t, 11, used)
		}
	})
}

// The reader scans no byte twice: overwriting the headers of a partly read command has no effect.
func TestReaderResumesWhereItStopped(t *testing.T) {
	args := make([]string, 1000)
	for i := range args {
		args[i] = fmt.Sprintf("argument-%d", i)
	}
	in := []byte(bulks(args...))
	r := NewReader(Limits{})
	var got Command
	for end := 64; ; end += 64 {
		c, used, ok, err := r.take(in[:min(end, len(in))], nil)
		require.Nil(t, err)
		if ok {
			require.Equal(t, len(in), used)
			got = c
			break
		}
		require.Zero(t, used)
		copy(in, "painted")
		for i := 1; i < len(r.resp.args); i++ {
			header := in[r.resp.args[i-1].end:r.resp.args[i].start]
			copy(header, bytes.Repeat([]byte{'#'}, len(header)))
		}
	}
	require.Len(t, got.Args, len(args))
	for i, arg := range args {
		assert.Equal(t, arg, string(got.Args[i]))
	}
}

func TestReaderIsIdleBetweenCommands(t *testing.T) {
	r := NewReader(Limits{})
	assert.True(t, r.Idle())
	_, _, _, _ = r.take([]byte("PI"), nil)
	assert.False(t, r.Idle())
	_, _, ok, _ := r.take([]byte("PING\n"), nil)
	assert.True(t, ok)
	assert.True(t, r.Idle())
}

// take is Next with a Command of its own.
func (r *Reader) take(buf []byte, args [][]byte) (c Command, used int, ok bool, err *Error) {
	used, ok, err = r.Next(&c, buf, args)
	return c, used, ok, err
}

// Skipping the header shared with the command before does not change the result.
func TestCommandsOfOneNameInARow(t *testing.T) {
	in := bulks("PUBLISH", "a", "1") + bulks("PUBLISH", "b", "22") + bulks("publish", "c", "") + bulks("PUBLISHED", "d", "e") +
		bulks("PUBLISH", "a") + bulks("PUBLISH", "e", "f") + bulks("PING") + bulks("PING") + bulks("PING", "x") + bulks("PUBLISH", "g", "h")
	want := [][]string{
		{"PUBLISH", "a", "1"}, {"PUBLISH", "b", "22"}, {"publish", "c", ""}, {"PUBLISHED", "d", "e"}, {"PUBLISH", "a"},
		{"PUBLISH", "e", "f"}, {"PING"}, {"PING"}, {"PING", "x"}, {"PUBLISH", "g", "h"},
	}
	for cut := 0; cut <= len(in); cut++ {
		r := NewReader(Limits{})
		var got [][]string
		var c Command
		for buf, rest := []byte(in[:cut]), in[cut:]; ; {
			used, ok, err := r.Next(&c, buf, nil)
			require.Nil(t, err)
			buf = buf[used:]
			if ok {
				got = append(got, texts(c.Args))
				continue
			}
			if rest == "" {
				break
			}
			buf, rest = append(bytes.Clone(buf), rest...), ""
		}
		require.Equal(t, want, got, "cut at %d", cut)
	}
}

// Before authentication Redis' limits apply, for any cut of the stream and any command before.
func TestGuests(t *testing.T) {
	tests := []struct{ in, want string }{
		{"*10\r\n" + strings.Repeat("$1\r\nx\r\n", 10), ""},
		{"*11\r\n", "ERR Protocol error: unauthenticated multibulk length"},
		{"*2\r\n$4\r\nPING\r\n$16384\r\n", ""},
		{"*2\r\n$4\r\nPING\r\n$16385\r\n", "ERR Protocol error: unauthenticated bulk length"},
		{"*1\r\n$16777217\r\n", "ERR Protocol error: invalid bulk length (over --max-message 16777216)"},
		{"*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length"},
		{"PING " + strings.Repeat("x ", 100) + "\n", ""},
	}
	for _, test := range tests {
		for cut := range min(len(test.in), 40) {
			r := NewReader(Limits{})
			r.SetUnauthenticated(true)
			c := new(Command)
			used, _, err := r.Next(c, []byte(test.in[:cut]), nil)
			if err == nil {
				_, _, err = r.Next(c, []byte(test.in[used:]), nil)
			}
			if test.want == "" {
				assert.Nil(t, err, "%q cut at %d", test.in, cut)
			} else if assert.NotNil(t, err, "%q cut at %d", test.in, cut) {
				assert.Equal(t, test.want, err.Error())
			}
			r = NewReader(Limits{})
			_, _, err = r.Next(c, []byte(test.in), nil)
			assert.False(t, err != nil && strings.Contains(err.Text, "unauthenticated"), "who has authenticated is free of that")
		}
	}
}

package protocol

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/redcon"
)

// hostile inputs each crashed, stalled or misled some parser of this protocol.
var hostile = []string{
	"*1\r\n$9223372036854775807\r\n", "*1\r\n$-2\r\n", "*1\r\n$-99\r\n", "*4000000000\r\n", "*18446744073709551617\r\n",
	"*-2147483649\r\n", "*1\r\n$18446744073709551615\r\n", "*1\r\n$4294967296\r\n", "*0\r\n", "*-1\r\n", "*\r\n", "*1\r\n$\r\n\r\n",
	"*1\r\n$1\r\nab\r\n", "*2\r\n$1\r\na\r\n", "*1\r\n$5\r\nPING\r\n", "*1\r$4\r\nPING\r\n", "*1\r\n*1\r\n$1\r\na\r\n",
	"PUB t I'm a message!\n", "PUB t it is 'quoted text'\r\n", "PUB t  two  spaces \n", "PUB\tt\thi\n", "\"C:\\new\"\n",
	"$5 today\n", "it's\n", "SET 'a' \"b\\x00\"\n", "\xff\xfa\x1f\x00\n\x00\xff\xf0PING\n", "\xff\xff*1\r\n", "PING\xff", "\xff",
	"PING\r\n*1\r\n$4\r\nPING\r\nPUB a b\n", "\n\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\n\r\n", "a\x00b\r\x00c\n",
	"SUB WHERE\n", "PUB a \n", "PUB a\n",
}

// FuzzReader checks that commands do not depend on the cuts of the stream, and that the reader never panics.
func FuzzReader(f *testing.F) {
	for _, in := range hostile {
		f.Add([]byte(in), uint8(3))
	}
	limits := Limits{Message: 64, Line: 64, Topic: 16, Arguments: 8}
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		if len(in) > 512 {
			return
		}
		want := feed(t, limits, in)
		require.Equal(t, want, feed(t, limits, bytewise(in)...), "byte by byte")
		for i := range in {
			require.Equal(t, want, feed(t, limits, in[:i], in[i:]), "split at %d", i)
		}
		var pieces [][]byte
		for rest := in; len(rest) > 0; {
			n := min(int(cut)%7+1, len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		require.Equal(t, want, feed(t, limits, pieces...), "in pieces of %d", int(cut)%7+1)
	})
}

// FuzzRESPAgainstRedcon compares the scanner with redcon's parser for valid commands. redcon panics on some invalid ones.
func FuzzRESPAgainstRedcon(f *testing.F) {
	for _, in := range hostile {
		f.Add([]byte(in))
	}
	f.Add([]byte(bulks("PUBLISH", "a", "")))
	for _, before := range []string{"*0\r\n", "*-1\r\n", "*-7\r\n", "\f\n", "\r\n", "\xff\xfb\x01"} {
		f.Add([]byte(before + bulks("a")))
	}
	f.Add([]byte(bulks("", "\r\n", "*1\r\n") + bulks("x")))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(Limits{})
		ours, used, ok, err := r.take(bytes.Clone(in), nil)
		if err != nil || !ok || ours.Dialect != RESP {
			return
		}
		rest := in
		for {
			if len(rest) < 2 || rest[0] != '*' || rest[1] == '-' {
				return // redcon does not skip telnet sequences, blank lines and *-1
			}
			complete, args, _, left, err := redcon.ReadNextCommand(rest, nil)
			require.NoError(t, err)
			require.True(t, complete)
			if len(args) == 0 { // *0
				rest = left
				continue
			}
			require.Equal(t, used, len(in)-len(left))
			require.Len(t, args, len(ours.Args))
			for i := range args {
				require.Equal(t, string(args[i]), string(ours.Args[i]))
			}
			return
		}
	})
}

// FuzzFrames checks that each encoder writes exactly one frame for any message, that a RESP frame decodes to its input,
// and that a line is one line without control bytes.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("news"), []byte("I'm a message!"), []byte("n*"))
	f.Add([]byte("a b\\"), []byte("x\r\nOK SUB forged\n\x1b[2J\xff\x7f\t"), []byte{})
	f.Fuzz(func(t *testing.T, topic, payload, pattern []byte) {
		message := RESP2.AppendMessage(nil, "message", topic, payload)
		require.Equal(t, len(message), FrameLen(message))
		r := NewReader(Limits{})
		c, used, ok, err := r.take(bytes.Clone(message), nil)
		require.Nil(t, err)
		require.True(t, ok)
		require.Equal(t, len(message), used)
		require.Equal(t, []string{"message", string(topic), string(payload)},
			[]string{string(c.Args[0]), string(c.Args[1]), string(c.Args[2])})

		for _, version := range []Version{RESP2, RESP3} {
			pmessage := version.AppendPatternMessage(nil, string(pattern), topic, payload)
			require.Equal(t, len(pmessage), FrameLen(append(pmessage, message...)))
			text := version.AppendVerbatim(nil, string(payload))
			require.Equal(t, len(text), FrameLen(append(text, message...)))
		}

		for _, crlf := range []bool{false, true} {
			line := AppendUpdates(nil, topic, [][]byte{payload}, crlf)
			require.Equal(t, len(line), FrameLen(line))
			for _, b := range bytes.TrimRight(line, "\r\n") {
				require.True(t, b >= ' ' && b != 0x7f && b != 0xff || b == '\t', "%q", line)
			}
			require.Equal(t, 2, bytes.Count(line[:len("UPDATE ")+len(EscapeTopic(nil, topic))+1], []byte{' '}), "%q", line)
		}
	})
}

// FuzzRuns checks that a run has the commands that Next would return, and ends before the first one that Next would reject
// or find incomplete.
func FuzzRuns(f *testing.F) {
	f.Add([]byte("news"), []byte(bulks("PUBLISH", "news", "b")+bulks("PUBLISH", "news", "cc")), uint8(64))
	f.Add([]byte("news"), []byte("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$9223372036854775807\r\n"), uint8(64))
	f.Add([]byte("news"), []byte("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$01\r\na\r\n"), uint8(64))
	f.Add([]byte("news"), []byte("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$3\r\nabc\r"), uint8(2))
	f.Add([]byte("news"), []byte(bulks("PUBLISH", "other", "b")), uint8(64))
	f.Add([]byte("news"), []byte("*3\r\n$7\r\nPUBLISH\r\n$05\r\nother\r\n$1\r\nb\r\n"), uint8(64))
	f.Add([]byte(""), []byte("*3\r\n$7\r\nPUBLISH\r\n$0\r\n\r\n$-1\r\n\r\n"), uint8(0))
	f.Fuzz(func(t *testing.T, topic, behind []byte, most uint8) {
		limits := Limits{Message: int(most) + len("PUBLISH") + len(topic) + 1}.WithDefaults()
		in := append([]byte(bulks("PUBLISH", string(topic), "a")), behind...)
		r := NewReader(limits)
		c, used, ok, err := r.take(in, nil)
		require.True(t, ok && err == nil)
		var run Run
		end := run.Scan(c.Args, in, used, nil, limits.Message)
		require.LessOrEqual(t, end, len(in))
		rest := in[used:end]
		for _, payload := range run.Payloads[1:] {
			c, used, ok, err := r.take(rest, nil)
			require.True(t, ok && err == nil, "%q", rest)
			require.Equal(t, []string{"PUBLISH", string(topic), string(payload)}, texts(c.Args))
			rest = rest[used:]
		}
		require.Empty(t, rest)
		behindRun := bytes.Clone(in[end:])
		if args, n := NextPublish(behindRun, c.Args[0], nil, &limits); n > 0 {
			next, used, ok, err := NewReader(limits).take(behindRun, nil)
			require.True(t, ok && err == nil, "%q", behindRun)
			require.Equal(t, n, used)
			require.Equal(t, texts(next.Args), texts(args))
		}
		want := []byte{}
		for _, payload := range run.Payloads {
			want = RESP3.AppendMessage(want, "message", topic, payload)
		}
		run.RewriteAsMessages()
		require.Equal(t, want, run.AppendFrames([]byte{}, RESP3))
	})
}

// FuzzLines is FuzzRuns for PUB lines. It also checks, for any first line, that a run has no line that Next would not
// return.
func FuzzLines(f *testing.F) {
	f.Add([]byte("PUB news b\n"), []byte("PUB news c\n"))
	f.Add([]byte("PUB news b\r\n"), []byte("PUB news \xff\xfb\n\x01c\n"))
	f.Add([]byte("PUB news b\r\n"), []byte("PUB news c\r\r\n"))
	f.Add([]byte("PUB news b\n"), []byte("PUB news "+strings.Repeat("x", 54)+"\r\nPUB news "))
	f.Add([]byte("PUB PUB x\xff\xf1\xff\xf1\n"), []byte("PUB x\xff\xf1\xff\xf1hello there\n"))
	f.Add([]byte("PUB PUB a\xff\xff\xff\xff\n"), []byte("PUB a\xff\xff\xff\xffb\n"))
	f.Add([]byte("\xff\xf1PUB\ta b\n"), []byte("PUB\ta c\n"))
	f.Add([]byte("PUB  PUB PUB  \n"), []byte("PUB PUB  c\n"))
	f.Add([]byte("PUB a b\r\xff\xf1\n"), []byte("PUB a c\r\n"))
	f.Add([]byte("PUB PUB PUB \xff\xf1\xff\xf1\n"), []byte("PUB PUB \xff\xf1\xff\xf1\n"))
	f.Fuzz(func(t *testing.T, first, behind []byte) {
		limits := Limits{Line: 64}.WithDefaults()
		in := append(bytes.Clone(first), behind...)
		r := NewReader(limits)
		c, used, ok, err := r.take(in, nil)
		if !ok || err != nil || c.Dialect != Line || c.Spec.Name != "PUB" || c.Err != nil {
			return
		}
		want := texts(c.Args[:2])
		var run Run
		end := run.ScanLines(&c, in, used, nil, limits.Line)
		rest := in[used:end]
		for _, payload := range run.Payloads[1:] {
			n, used, ok, err := r.take(rest, nil)
			require.True(t, ok && err == nil, "%q", rest)
			require.Equal(t, c.CRLF, n.CRLF)
			require.Equal(t, append(want[:2:2], string(payload)), texts(n.Args))
			rest = rest[used:]
		}
		require.Empty(t, rest)
	})
}

func texts(args [][]byte) (out []string) {
	for _, arg := range args {
		out = append(out, string(arg))
	}
	return out
}

package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// show formats a reply for a table.
func show(r *reply) string {
	switch r.kind {
	case kindNull:
		return "null"
	case kindInteger:
		return fmt.Sprint(r.integer)
	case kindBoolean:
		return fmt.Sprint(r.integer == 1)
	case kindArray, kindMap, kindSet, kindPush:
		all := make([]string, len(r.elements))
		for i := range r.elements {
			all[i] = show(&r.elements[i])
		}
		return string(r.kind) + "(" + strings.Join(all, " ") + ")"
	}
	return fmt.Sprintf("%c%q", r.kind, r.bytes)
}

func replies(text string, maxBulk int) (shown []string, err error) {
	reader := newReplyReader(iotest.OneByteReader(strings.NewReader(text)), maxBulk)
	for {
		r, err := reader.read()
		if err != nil {
			return shown, err
		}
		shown = append(shown, show(&r))
	}
}

func TestReplies(t *testing.T) {
	tests := []struct{ sentence, text, want string }{
		{"lines", "+OK\r\n-ERR no\r\n+\r\n", `+"OK" -"ERR no" +""`},
		{"integers", ":0\r\n:-7\r\n:+7\r\n:9223372036854775807\r\n", "0 -7 7 9223372036854775807"},
		{"texts", "$2\r\nhi\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n", `$"hi" $"" $"\r\n\r\n"`},
		{"nulls of every form", "$-1\r\n*-1\r\n_\r\n", "null null null"},
		{"arrays", "*0\r\n*2\r\n:1\r\n*1\r\n+a\r\n", `*() *(1 *(+"a"))`},
		{"what RESP3 has besides", "#t\r\n#f\r\n,1.5\r\n,inf\r\n(123\r\n~1\r\n:1\r\n", `true false ,"1.5" ,"inf" ("123" ~(1)`},
		{"maps", "%2\r\n+a\r\n:1\r\n+b\r\n%0\r\n", `%(+"a" 1 +"b" %())`},
		{"verbatim text and long errors", "=6\r\ntxt:hi\r\n!6\r\nERR no\r\n", `$"hi" -"ERR no"`},
		{
			"pushes", ">5\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n:12\r\n:9\r\n",
			`>($"message" $"a" $"hi" 12 9)`,
		},
		{"attributes are passed over", "|1\r\n+ttl\r\n:3\r\n|0\r\n:5\r\n*1\r\n|1\r\n+a\r\n+b\r\n:6\r\n", "5 *(6)"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			got, err := replies(test.text, 100)
			assert.Equal(t, io.EOF, err)
			assert.Equal(t, test.want, strings.Join(got, " "))
			for n := range len(test.text) {
				_, err := replies(test.text[:n], 100)
				assert.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), "cut at %d: %v", n, err)
			}
		})
	}
}

// hostile are invalid bytes, each with its error.
var hostile = []struct{ text, want string }{
	{"hello\r\n", `a reply that begins with 'h'`},
	{"\r\n", "an empty line"},
	{"\n", `a line that ends without CR: "\n"`},
	{"+OK\n", `a line that ends without CR: "+OK\n"`},
	{"+O\rK\r\n", `a CR within a line: "+O\rK\r\n"`},
	{"+" + strings.Repeat("a", maxLine), "a line of more than 32768 bytes"},
	{":\r\n", `"" is not an integer`},
	{":1a\r\n", `"1a" is not an integer`},
	{":9223372036854775808\r\n", `"9223372036854775808" is not an integer`},
	{"$\r\n", `"" is not a length`},
	{"$+1\r\na\r\n", `"+1" is not a length`},
	{"$-2\r\n", `"-2" is not a length`},
	{"$9223372036854775807\r\n", `"9223372036854775807" is not a length`},
	{"$101\r\n", "a text of 101 bytes, more than the limit of 100"},
	{"$?\r\n;1\r\na\r\n;0\r\n", `"?" is not a length`},
	{"$1\r\nab\r\n", "a text of 1 bytes without CR LF behind it"},
	{"$1\r\na\rb", "a text of 1 bytes without CR LF behind it"},
	{"=2\r\nab\r\n", `a verbatim text without its format: "ab"`},
	{"=-1\r\n", "a text of negative length"},
	{"*65537\r\n", "a reply of more than 65536 elements"},
	{"*2147483648\r\n", `"2147483648" is not a length`},
	{">-1\r\n", "an aggregate of negative length"},
	{strings.Repeat("*1\r\n", 9), "a reply of more than 8 levels"},
	{strings.Repeat("*1\r\n", 100_000), "a reply of more than 8 levels"},
	{"*3\r\n*60000\r\n" + strings.Repeat("_\r\n", 60000) + "*60000\r\n", "a reply of more than 65536 elements"},
	{strings.Repeat("|0\r\n", 70_000), "a reply of more than 65536 elements"},
	{strings.Repeat("|1\r\n", 10), "a reply of more than 8 levels"},
	{"#x\r\n", `"x" is not a boolean`},
	{"_x\r\n", `a null with text "x"`},
	{"*?\r\n", `"?" is not a length`},
}

func TestInvalidReplies(t *testing.T) {
	for _, test := range hostile {
		_, err := replies(test.text, 100)
		assert.ErrorIs(t, err, ErrMalformed, "%.40q", test.text)
		assert.ErrorContains(t, err, test.want, "%.40q", test.text)
	}
}

func TestAnAnnouncedLengthCostsNothing(t *testing.T) {
	reader := newReplyReader(strings.NewReader("$536870912\r\nabc"), 512<<20)
	_, err := reader.read()
	assert.Equal(t, io.ErrUnexpectedEOF, err)
	assert.LessOrEqual(t, cap(reader.text), 8<<10)
	reader = newReplyReader(strings.NewReader("*65535\r\n:1\r\n"), 100)
	_, err = reader.read()
	assert.Equal(t, io.ErrUnexpectedEOF, err)
	assert.LessOrEqual(t, cap(reader.elements), 8)
}

func TestALargeReplyIsGivenBack(t *testing.T) {
	large := fmt.Sprintf("$%d\r\n%s\r\n", 2*maxKept, strings.Repeat("a", 2*maxKept))
	reader := newReplyReader(strings.NewReader(large+":1\r\n"), 4*maxKept)
	r, err := reader.read()
	require.NoError(t, err)
	assert.Len(t, r.bytes, 2*maxKept)
	_, err = reader.read()
	require.NoError(t, err)
	assert.Less(t, cap(reader.text), maxKept)
}

// The bytes of a reply stay valid until the next one, although the buffers may move while it is read.
func TestTextsOfOneReplyDoNotTouchEachOther(t *testing.T) {
	var text strings.Builder
	var want []string
	const n = 200
	fmt.Fprintf(&text, "*%d\r\n", n)
	for i := range n {
		s := strings.Repeat(string(rune('a'+i%26)), i*i)
		fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(s), s)
		want = append(want, fmt.Sprintf("$%q", s))
	}
	got, _ := replies(text.String(), n*n)
	assert.Equal(t, []string{"*(" + strings.Join(want, " ") + ")"}, got)
}

// endless repeats a text.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(b []byte) (n int, err error) {
	for n < len(b) {
		k := copy(b[n:], e.text[e.at:])
		n, e.at = n+k, (e.at+k)%len(e.text)
	}
	return n, nil
}

func TestHotPathAllocatesNothing(t *testing.T) {
	const many = ":1\r\n*2\r\n:1\r\n:12\r\n+OK\r\n>4\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n:12\r\n"
	reader := newReplyReader(&endless{text: many}, 100)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		for range 100 { // so that one allocation in many replies counts
			if _, err := reader.read(); err != nil {
				panic(err)
			}
		}
	}))
}

// FuzzReply checks that any bytes, split anywhere, yield the same replies and then the same error. No reply takes more
// memory than has arrived.
func FuzzReply(f *testing.F) {
	for _, h := range hostile {
		f.Add([]byte(h.text[:min(len(h.text), 1000)]))
	}
	f.Add([]byte("%1\r\n+server\r\n$5\r\nconch\r\n>3\r\n$6\r\nmissed\r\n$1\r\na\r\n:3\r\n*-1\r\n#t\r\n,1.5\r\n(1\r\n!3\r\nERR\r\n"))
	f.Add([]byte("|1\r\n+a\r\n*1\r\n$3\r\nabc\r\n$-1\r\n=5\r\ntxt:a\r\n~2\r\n:1\r\n_\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		const maxBulk = 1 << 20
		single, errSingle := replies(string(text), maxBulk)
		reader := newReplyReader(bytes.NewReader(text), maxBulk)
		for i := 0; ; i++ {
			r, err := reader.read()
			if err != nil {
				require.Equal(t, errSingle, err)
				require.Len(t, single, i)
				break
			}
			require.Equal(t, single[i], show(&r))
			require.LessOrEqual(t, cap(reader.text), 16<<10+4*len(text))
			require.LessOrEqual(t, reader.elementCount, 2*maxElements+1)
		}
	})
}

// Of an array or a map, readHead leaves the elements to the next calls; anything else it reads whole.
func TestReadHead(t *testing.T) {
	const input = "*2\r\n:1\r\n:2\r\n%1\r\n+a\r\n:1\r\n>1\r\n+b\r\n*-1\r\n|1\r\n+c\r\n:9\r\n*0\r\n-ERR no\r\n*"
	r := newReplyReader(strings.NewReader(input), 1<<10)
	for i, expected := range []reply{
		{kind: kindArray, integer: 2},
		{kind: kindInteger, integer: 1},
		{kind: kindInteger, integer: 2},
		{kind: kindMap, integer: 1},
		{kind: kindSimple, bytes: []byte("a")},
		{kind: kindInteger, integer: 1},
		{kind: kindPush, elements: []reply{{kind: kindSimple, bytes: []byte("b")}}},
		{kind: kindNull},
		{kind: kindArray},
		{kind: kindError, bytes: []byte("ERR no")},
	} {
		read := r.readHead
		if expected.kind == kindInteger || expected.kind == kindSimple {
			read = r.read
		}
		got, err := read()
		require.NoError(t, err, i)
		assert.Equal(t, expected, got, i)
	}
	_, err := r.readHead()
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	for _, wrong := range []string{"%-1\r\n", "*x\r\n", "*+1\r\n", "?\r\n"} {
		_, err := newReplyReader(strings.NewReader(wrong), 1<<10).readHead()
		assert.ErrorIs(t, err, ErrMalformed, wrong)
	}
}

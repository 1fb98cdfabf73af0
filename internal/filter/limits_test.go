package filter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Too costly expressions are rejected, in every part.
func TestExpressionLimits(t *testing.T) {
	chain := func(n int) string { return "a" + strings.Repeat(" && a", n-1) } // of n names and n-1 operators
	nest := func(open, inside, shut string, n int) string {
		return strings.Repeat(open, n) + inside + strings.Repeat(shut, n)
	}
	doubling := "1" // a < b < c shares b between two comparisons: a tree of few nodes that is a long walk
	for range 20 {
		doubling = "(0 < " + doubling + " < 2 ? 1 : 0)"
	}
	tests := []struct {
		name, expression string
		limits           Limits
		err              string
	}{
		{"as long as allowed", "a" + strings.Repeat(" ", 4095), Limits{}, ""},
		{"longer", "a" + strings.Repeat(" ", 4096), Limits{}, "the expression has 4097 bytes, and may have 4096"},
		{"64 KiB", chain(13107), Limits{}, "may have 4096"},
		{"a limit of one's own", "price > 1", Limits{Expression: 8}, "the expression has 9 bytes, and may have 8"},
		{"as many parts as allowed", chain(128), Limits{}, ""},
		{"one name and one operator more", chain(129), Limits{}, "too many parts"},
		{"fewer allowed", "price > 1", Limits{Nodes: 2}, "too many parts"},
		{"steps of paths count", "a" + strings.Repeat(".b", 255), Limits{}, ""},
		{"also one too many", "a" + strings.Repeat(".b", 256), Limits{}, "too many parts"},
		{"elements count", "a in [" + strings.Repeat("1,", 254) + "1]", Limits{}, "too many parts"},
		{"nested as deep as allowed", nest("(", "a", ")", 64), Limits{}, ""},
		{"one deeper", nest("(", "a", ")", 65), Limits{}, "nested too deeply"},
		{"a thousand brackets", nest("(", "a", ")", 1000), Limits{}, "nested too deeply"},
		{"a thousand that never close", strings.Repeat("(", 1000), Limits{}, "nested too deeply"},
		{"a thousand of another kind", nest("[", "1", "]", 1000), Limits{}, "nested too deeply"},
		{"brackets in a string are none", `a == "` + strings.Repeat("(", 1000) + `"`, Limits{}, ""},
		{"a thousand negations", strings.Repeat("!", 1000) + "a", Limits{}, "nested too deeply"},
		{"in words", strings.Repeat("not ", 1000) + "a", Limits{}, "nested too deeply"},
		{"a thousand signs", "1 > " + strings.Repeat("-", 1000) + "a", Limits{}, "nested too deeply"},
		{"four thousand dots", "a" + strings.Repeat(".", 4000), Limits{}, "no ranges"},
		{"a thousand choices", strings.Repeat("a?a:", 1000) + "a", Limits{}, "too many parts"},
		{"what doubles", doubling, Limits{}, "too many parts"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Compile(test.expression, test.limits)
			if test.err == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.err)
		})
	}
}

// A predicate on each would match if the payload had fields.
func TestHostilePayloads(t *testing.T) {
	deep := func(n int) string {
		return strings.Repeat(`{"a":`, n-1) + `{}` + strings.Repeat("}", n-1)
	}
	tests := []struct {
		name, payload string
		limits        Limits
		readable      bool
	}{
		{"10 MiB of [", strings.Repeat("[", 10<<20), Limits{}, false},
		{"and allowed to be that large", strings.Repeat("[", 10<<20), Limits{Payload: 16 << 20}, false},
		{"behind a brace", `{"a":` + strings.Repeat("[", 10<<20), Limits{Payload: 16 << 20}, false},
		{"10 MiB of objects", strings.Repeat(`{"a":`, 2<<20), Limits{Payload: 16 << 20}, false},
		{"10 MiB of blanks", strings.Repeat(" ", 10<<20), Limits{Payload: 16 << 20}, false},
		{"10 MiB of backslashes", `{"a":"` + strings.Repeat(`\`, 10<<20), Limits{Payload: 16 << 20}, false},
		{"as deep as allowed", deep(64), Limits{}, true},
		{"one deeper", deep(65), Limits{}, false},
		{"as deep as a limit of one's own", deep(3), Limits{Depth: 3}, true},
		{"and deeper", deep(4), Limits{Depth: 3}, false},
		{"brackets in strings are no depth", `{"a":"` + strings.Repeat("[", 1000) + `\"["}`, Limits{}, true},
		{"many brackets side by side are no depth", `{"a":[` + strings.Repeat("[],", 1000) + `{}]}`, Limits{}, true},
		{"as large as allowed", `{"a":"` + strings.Repeat("x", 1<<20-8) + `"}`, Limits{}, true},
		{"larger", `{"a":"` + strings.Repeat("x", 1<<20-7) + `"}`, Limits{}, false},
		{"no UTF-8", "{\"a\":\"\xc3\x28\"}", Limits{}, false},
		{"a surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", Limits{}, false},
		{"half a surrogate pair, escaped", `{"a":"\ud800"}`, Limits{}, true},
		{"a byte order mark", "\ufeff" + `{"a":1}`, Limits{}, false},
		{"a control character in a string", "{\"a\":\"\x01\"}", Limits{}, false},
		{"NaN", `{"a":NaN}`, Limits{}, false},
		{"infinity", `{"a":-Infinity}`, Limits{}, false},
		{"a number that begins with zero", `{"a":01}`, Limits{}, false},
		{"a comma too many", `{"a":1,}`, Limits{}, false},
		{"another in an array", `{"a":[1,]}`, Limits{}, false},
		{"a comment", `{"a":1/**/}`, Limits{}, false},
		{"single quotes", `{'a':1}`, Limits{}, false},
		{"a million digits", `{"a":` + strings.Repeat("9", 1_000_000) + `}`, Limits{}, true},
		{"an exponent of many digits", `{"a":1e` + strings.Repeat("9", 1000) + `}`, Limits{}, true},
		{"a hundred thousand fields", `{"b":0` + strings.Repeat(`,"b":0`, 100_000) + `,"a":1}`, Limits{}, true},
		{"nothing", ``, Limits{}, false},
		{"a string", `"a"`, Limits{}, false},
	}
	for i, digits := range append(tooLong, farExponents...) {
		name := fmt.Sprintf("a number made to be read wrong, %d", i)
		tests = append(tests, struct {
			name, payload string
			limits        Limits
			readable      bool
		}{name, `{"a":` + digits + `}`, Limits{}, true})
	}
	var m Message // one for all: Reset must leave nothing of the message before
	p, err := Compile("has(a)", Limits{})
	require.NoError(t, err)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m.Reset(nil, []byte(test.payload), test.limits)
			assert.Equal(t, verdict(test.readable), p.Match(&m))
		})
	}
}

func TestStrings(t *testing.T) {
	tests := []struct{ name, payload, want string }{ // of the field a
		{"escapes", `{"a":"\"\\\/\b\f\n\r\t\u00e4"}`, "\"\\/\b\f\n\r\tä"},
		{"a surrogate pair", `{"a":"\ud83d\ude00!"}`, "😀!"},
		{"half of one", `{"a":"\ud83d!"}`, "\uFFFD!"},
		{"half of one before another escape", `{"a":"\ud83d\u0041!"}`, "\uFFFDA!"},
		{"in capitals", `{"a":"\uD83D\u0041!"}`, "\uFFFDA!"},
		{"the second half alone", `{"a":"\ude00\ud83d"}`, "\uFFFD\uFFFD"},
		{"what only looks like one", `{"a":"\\ud83d"}`, `\ud83d`},
		{"NUL", `{"a":"\u0000"}`, "\x00"},
		{"control characters", `{"a":"\t\n\r"}`, "\t\n\r"},
		{"an escaped name", `{"\u0061":"x"}`, "x"},
		{"an escaped name is the same name", `{"a":"x","\u0061":"y"}`, "x"},
		{"the empty string", `{"a":""}`, ""},
		{"UTF-8", `{"a":"größe"}`, "größe"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, Yes, match(t, fmt.Sprintf("a == %+q", test.want), test.payload))
		})
	}
	t.Run("a name with half a pair", func(t *testing.T) {
		assert.Equal(t, Yes, match(t, `$env["\ufffdA"] == 1`, `{"\ud800\u0041":1}`))
	})
}

// Payloads over the limit: fields, payload and size differ.
func TestPayloadOverTheLimit(t *testing.T) {
	tests := []struct {
		expression string
		want       Verdict
	}{
		{`payload contains "x"`, Unreadable},
		{`size == 11`, Yes},
		{`topic == "t"`, Yes},
		{`has(a)`, No},
		{`a == "x"`, Unreadable},
	}
	for _, test := range tests {
		p, err := Compile(test.expression, Limits{})
		require.NoError(t, err)
		var m Message
		m.Reset([]byte("t"), []byte(`{"a": "xx"}`), Limits{Payload: 10})
		assert.Equal(t, test.want, p.Match(&m), test.expression)
	}
}

// Objects and arrays of any size behave alike, also above mapThreshold.
func TestLargeObjectsAndArrays(t *testing.T) {
	for _, n := range []int{1, mapThreshold - 1, mapThreshold, mapThreshold + 1, mapThreshold + 2, 1000} {
		var object, array strings.Builder
		for i := range n {
			fmt.Fprintf(&object, `"f%d":%d,`, i, i)
			fmt.Fprintf(&array, `%d,"s%d",null,[],1e999,`, i, i)
		}
		payload := fmt.Sprintf(`{%s"f0":-1,"list":[%s{}]}`, object.String(), array.String())
		last := n - 1
		yes := []string{
			"f0 == 0", fmt.Sprintf("f%d == %d", last, last), fmt.Sprintf("not has(f%d)", n),
			fmt.Sprintf("%d in list", last), fmt.Sprintf(`"s%d" in list`, last), fmt.Sprintf("%d not in list", n),
			fmt.Sprintf("%d.0 in list", last), `"" not in list`, "true not in list", "0.5 not in list",
			fmt.Sprintf("list[%d] == %d", 5*last, last), fmt.Sprintf("has(list[%d])", 5*n), fmt.Sprintf("not has(list[%d])", 5*n+1),
		}
		for _, expression := range yes {
			assert.Equal(t, Yes, match(t, expression, payload), "%d: %s", n, expression)
		}
	}
	var list []string
	for i := range 200 {
		list = append(list, fmt.Sprint(i))
		in := "a in [" + strings.Join(list, ", ") + "]"
		assert.Equal(t, Yes, match(t, in, fmt.Sprintf(`{"a":%d}`, i)), in)
		assert.Equal(t, No, match(t, in, fmt.Sprintf(`{"a":%d}`, i+1)), in)
		assert.Equal(t, No, match(t, in, `{"a":"0"}`), in)
	}
}

func TestAMessageIsReadOnce(t *testing.T) {
	var m Message
	var predicates []*Predicate
	for _, expression := range []string{"a.b[0].c == 1", "a.b[0].d == 2", "has(a.b[1])", `1 in a.b`, "a.b[0].c == 1"} {
		p, err := Compile(expression, Limits{})
		require.NoError(t, err)
		predicates = append(predicates, p)
	}
	read := func() {
		for _, p := range predicates {
			assert.NotEqual(t, Unreadable, p.Match(&m))
		}
	}
	payload := []byte(`{"a": {"b": [{"c": 1, "d": 2}]}}`)
	m.Reset(nil, payload, Limits{})
	read()
	assert.Equal(t, 4, m.used, "the payload, a, b, b[0]")
	assert.Zero(t, testing.AllocsPerRun(10, read))
	m.Reset(nil, payload, Limits{})
	assert.Zero(t, m.used)
	assert.Len(t, m.expanded, 4, "kept for the next message")
	read()
	m.Reset(nil, []byte(`{"a": {"b": []}}`), Limits{})
	assert.Equal(t, Unreadable, predicates[0].Match(&m))
	assert.Equal(t, No, predicates[2].Match(&m))
}

func TestTheZeroMessageIsEmpty(t *testing.T) {
	p, err := Compile(`size == 0 && topic == "" && payload == "" && not has(a)`, Limits{})
	require.NoError(t, err)
	assert.Equal(t, Yes, p.Match(new(Message)))
}

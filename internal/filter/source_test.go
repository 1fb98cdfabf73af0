package filter

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// source is a message that counts how often its payload is made.
type source struct {
	payload string
	headers map[string]string
	made    int
}

func (s *source) Size() int { return len(s.payload) }

func (s *source) Payload() []byte {
	s.made++
	return []byte(s.payload)
}

func (s *source) Header(name string) ([]byte, bool) {
	text, ok := s.headers[name]
	return []byte(text), ok
}

func TestHeaders(t *testing.T) {
	headers := map[string]string{
		"region": "eu", "retries": "3", "ratio": "0.5", "zero": "007", "empty": "", "big": "1e400", "huge": "18446744073709551616",
		"long": strings.Repeat("x", 100), "true": "true",
	}
	for _, test := range []struct {
		expression string
		verdict    Verdict
		why        string
		made       int
	}{
		{`header("region") == "eu"`, Yes, "a text", 0},
		{`header("retries") > 2`, Yes, "a number of JSON is a number", 0},
		{`header("retries") == "3"`, Unreadable, "and no text", 0},
		{`header("ratio") * 2 == 1`, Yes, "a fraction too", 0},
		{`header("zero") == "007"`, Yes, "JSON has no such number", 0},
		{`header("empty") == ""`, Yes, "an empty text", 0},
		{`header("big") == "1e400"`, Yes, "no float64 can hold it", 0},
		{`header("huge") > 1`, Unreadable, "as a field beyond 64 bits", 0},
		{`header("true") == "true"`, Yes, "texts are no booleans", 0},
		{`header("nosuch") != "eu"`, Unreadable, "it is missing", 0},
		{`has(header("nosuch")) && header("nosuch") > 1`, No, "has checks that it exists", 0},
		{`has(header("long"))`, Yes, "also of one that is too long to be read", 0},
		{`header("long") startsWith "x"`, Unreadable, "its limit is that of a payload", 0},
		{`header("region") in ["eu", "us"]`, Yes, "as any other text", 0},
		{`header == 5 && size == 12`, Yes, "a field of that name", 1},
		{`header("region") == "eu" && $env["header"] == 5 && payload contains "5"`, Yes, "the payload is made once", 1},
	} {
		p, err := Compile(test.expression, Limits{})
		require.NoError(t, err, test.expression)
		s := &source{payload: `{"header":5}`, headers: headers}
		var m Message
		m.ResetSource([]byte("orders"), s, Limits{Payload: 64})
		assert.Equal(t, test.verdict, p.Match(&m), "%s: %s", test.expression, test.why)
		assert.Equal(t, test.verdict, p.Match(&m), "again: %s", test.expression)
		assert.Equal(t, test.made, s.made, test.expression)
	}
}

// A plain message has no headers, also behind one that had some.
func TestAPlainMessageHasNoHeaders(t *testing.T) {
	p, err := Compile(`has(header("region")) || payload == "x"`, Limits{})
	require.NoError(t, err)
	var m Message
	m.ResetSource(nil, &source{payload: "x", headers: map[string]string{"region": "eu"}}, Limits{})
	assert.Equal(t, Yes, p.Match(&m))
	m.Reset(nil, []byte("y"), Limits{})
	assert.Equal(t, No, p.Match(&m))
}

// A payload beyond the limit is never made. Its size is known.
func TestASourceOverTheLimit(t *testing.T) {
	for expression, want := range map[string]Verdict{`size == 12`: Yes, `payload == "x"`: Unreadable, `header == 5`: Unreadable, `has(header)`: No} {
		p, err := Compile(expression, Limits{})
		require.NoError(t, err)
		s := &source{payload: `{"header":5}`}
		var m Message
		m.ResetSource(nil, s, Limits{Payload: 11})
		assert.Equal(t, want, p.Match(&m), expression)
		assert.Zero(t, s.made)
	}
}

func TestIsNumber(t *testing.T) {
	for text, want := range map[string]bool{
		"0": true, "-0": true, "12": true, "-1.5": true, "1e5": true, "1E-5": true, "1.25e+10": true, "0.1": true, "1e308": true,
		"": false, "-": false, "01": false, "1.": false, ".5": false, "+1": false, "1e": false, "1e+": false, " 1": false, "1 ": false, "0x1": false,
		"1_0": false, "NaN": false, "Infinity": false, "1e309": false, "1e999999999": false, "--1": false, "1.2.3": false, "1e5.0": false,
		strings.Repeat("1", 300): true, strings.Repeat("1", 400): false, "0." + strings.Repeat("1", 798): true, "0." + strings.Repeat("1", 799): false,
	} {
		assert.Equal(t, want, IsNumber([]byte(text)), text)
	}
}

// A number is one of JSON that encoding/json can decode.
func FuzzIsNumber(f *testing.F) {
	for _, text := range []string{"0", "-1.5e+3", "01", "1e999", "-", "0x1p-2", "1_000"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var number float64
		want := len(text) <= maxNumberLen && json.Unmarshal([]byte(text), &number) == nil && strings.Trim(text, " \t\r\n") == text && text != "null"
		require.Equal(t, want, IsNumber([]byte(text)), text)
	})
}

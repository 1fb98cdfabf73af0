package entry_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/internal/testseed"
)

var seed = flag.Uint64("seed", 0, "replay a random test")

// stored makes fields as a record has them.
func stored(t testing.TB, texts [][]byte) (fields stream.Fields) {
	t.Helper()
	record := stream.AppendChange(stream.BeginRecord(nil, 1, 1), &stream.Change{Kind: stream.Add, Sequence: 1, Time: 1, Number: 1, Fields: texts})
	require.NoError(t, stream.EachEntry(record, 0, func(e *stream.Entry) bool {
		fields = e.Fields
		return true
	}))
	return fields
}

// words splits a row of the docs as redis-cli splits a line: words, some of them in quotes.
func words(t testing.TB, line string) (texts [][]byte) {
	t.Helper()
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		word, _, _ := strings.Cut(line, " ")
		if quoted, err := strconv.QuotedPrefix(line); err == nil {
			word = quoted
		}
		line = line[len(word):]
		if text, err := strconv.Unquote(word); err == nil {
			word = text
		}
		texts = append(texts, []byte(word))
	}
	return texts
}

// The table of docs/streams.md holds, for entries of a record and for those of a reply.
func TestAnEntryAsAMessage(t *testing.T) {
	for _, row := range harness.Table(t, "../../docs/streams.md", "messages") {
		row = append(row, "") // without headers it ends before
		fields, payload, headers := row[0], row[1], row[2]
		t.Run(fields, func(t *testing.T) {
			var m entry.Message
			for range 2 { // a Message is used again
				texts := words(t, fields)
				m.Reset(stored(t, texts))
				assertMessage(t, &m, payload, headers)
				m.ResetTexts(texts)
				assertMessage(t, &m, payload, headers)
			}
		})
	}
}

func assertMessage(t *testing.T, m *entry.Message, payload, headers string) {
	t.Helper()
	assert.Equal(t, len(payload), m.Size(), "the size is known before")
	assert.Equal(t, payload, string(m.Payload()))
	assert.Equal(t, payload, string(m.Payload()), "again")
	assert.Equal(t, "> "+payload, string(m.AppendPayload([]byte("> "))))
	if headers == "" {
		headers = "{}"
	}
	assert.Equal(t, headers, string(m.AppendHeaders(nil)))
	assert.Equal(t, headers != "{}", m.HasHeaders())
}

func TestHeaders(t *testing.T) {
	var m entry.Message
	_, ok := m.Header("region")
	assert.False(t, ok, "an entry without fields")
	assert.Equal(t, "{}", string(m.Payload()))

	m.Reset(stored(t, words(t, `region eu message hi region us message again`)))
	for name, want := range map[string]string{"region": "eu", "message": "again"} {
		text, ok := m.Header(name)
		assert.True(t, ok)
		assert.Equal(t, want, string(text))
	}
	_, ok = m.Header("other")
	assert.False(t, ok)

	m.Reset(stored(t, words(t, `region eu`)))
	_, ok = m.Header("region")
	assert.False(t, ok, "it is a field of the message")
}

// Predicates read an entry as the message that it is.
func TestPredicates(t *testing.T) {
	for _, test := range []struct{ fields, predicate, verdict string }{
		{`price 120 region eu`, `price > 100 && region == "eu" && topic == "orders"`, "yes"},
		{`price 120`, `size == 13 && payload == "{\"price\":120}"`, "yes"},
		{`price 1e400`, `price > 100`, "unreadable"},
		{`price 1e400`, `price == "1e400"`, "yes"},
		{`item a item b`, `"b" in item`, "yes"},
		{`item 1 item 2`, `item[1] == 2`, "yes"},
		{`a "\xff"`, `a_base64 == "/w=="`, "yes"},
		{`region eu`, `has(header("region"))`, "no"},
		{`message {"price":120} region eu`, `price > 100 && header("region") == "eu"`, "yes"},
		{`message hello retries 3`, `header("retries") > 2 && payload == "hello"`, "yes"},
		{`message hello retries 3`, `header("retries") == "3"`, "unreadable"},
		{`message hello`, `header("retries") > 2`, "unreadable"},
		{`message hello`, `has(header("retries")) && header("retries") > 2`, "no"},
		{`message hello`, `has(region)`, "no"},
	} {
		p, err := filter.Compile(test.predicate, filter.Limits{})
		require.NoError(t, err, test.predicate)
		var m entry.Message
		var input filter.Message
		m.Reset(stored(t, words(t, test.fields)))
		input.ResetSource([]byte("orders"), &m, filter.Limits{})
		assert.Equal(t, test.verdict, p.Match(&input).String(), "%s: %s", test.fields, test.predicate)
	}
}

// The payload of an entry with a message is a part of the record, and its headers are.
func TestAMessageIsNotCopied(t *testing.T) {
	var m entry.Message
	fields := stored(t, [][]byte{[]byte("region"), []byte("eu"), []byte("message"), bytes.Repeat([]byte("x"), 1<<20)})
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		m.Reset(fields)
		if text, ok := m.Header("region"); !ok || len(text)+m.Size()+len(m.Payload()) < 2<<20 {
			panic("it is another message")
		}
	}))
	small := stored(t, words(t, `price 120 region eu`))
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		m.Reset(small)
		_, _ = m.Size(), m.Payload()
	}), "a small object is built in the buffer of the last one")
}

// Half a million fields are no trouble, whatever their names are: it takes steps by their number, not by its square.
func TestVeryManyFields(t *testing.T) {
	const n = 1 << 19
	for _, name := range []func(i int) []byte{
		func(int) []byte { return []byte("a") },
		func(i int) []byte { return strconv.AppendInt(nil, int64(i), 10) },
		func(i int) []byte { return strconv.AppendInt(nil, int64(i/2), 10) },
	} {
		texts := make([][]byte, 0, 2*n)
		for i := range n {
			texts = append(texts, name(i), []byte("1"))
		}
		var m entry.Message
		m.ResetTexts(texts)
		assert.Len(t, m.Payload(), m.Size())
		assert.True(t, json.Valid(m.Payload()))
	}
}

// Random entries are what a naive encoder makes of them.
func TestRandomEntries(t *testing.T) {
	if *seed == 0 {
		*seed = testseed.New()
	}
	t.Logf("-seed=%d", *seed)
	r := rand.New(rand.NewPCG(*seed, 0))
	var m entry.Message
	for range 3000 {
		var texts [][]byte
		for range r.IntN(4) * (1 + r.IntN(12)) {
			texts = append(texts, randomText(r, "message", "a", "a", "b", "a_base64"), randomText(r, "1", "-0", "1e5", "1e999", "x", "true", ""))
		}
		m.Reset(stored(t, texts))
		check(t, &m, texts)
	}
}

func randomText(r *rand.Rand, usual ...string) []byte {
	if r.IntN(4) > 0 {
		return []byte(usual[r.IntN(len(usual))])
	}
	text := make([]byte, r.IntN(6))
	for i := range text {
		text[i] = "a\"\\\x00\n\x7f\xc3\xa4\xff\xe2\x80\xa81."[r.IntN(14)]
	}
	return text
}

// check holds a message to the naive one.
func check(t *testing.T, m *entry.Message, texts [][]byte) {
	t.Helper()
	object, message, isWhole := naive(texts)
	require.Equal(t, isWhole, m.IsWhole(), "%q", texts)
	require.Len(t, m.Payload(), m.Size())
	text := m.Payload()
	if isWhole {
		require.Equal(t, string(message), string(text))
		text = m.AppendHeaders(nil)
	}
	require.True(t, utf8.Valid(text))
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var names []string
	got := map[string]any{}
	_, err := d.Token()
	require.NoError(t, err)
	for d.More() {
		name, err := d.Token()
		require.NoError(t, err, "%s", text)
		var value any
		require.NoError(t, d.Decode(&value), "%s", text)
		names, got[name.(string)] = append(names, name.(string)), value
	}
	want := map[string]any{}
	for i, name := range object.names {
		if want[name] = object.values[i][0]; len(object.values[i]) > 1 {
			want[name] = object.values[i]
		}
	}
	require.Equal(t, object.names, names, "%q", texts)
	require.Equal(t, want, got, "%q", texts)
}

type naiveObject struct {
	names  []string
	values [][]any
}

// naive is the documented rule, slow and obvious.
func naive(texts [][]byte) (o naiveObject, message []byte, isWhole bool) {
	for i := 0; i < len(texts); i += 2 {
		if string(texts[i]) == "message" && !isWhole {
			message, isWhole = texts[i+1], true
			texts = append(slices.Clone(texts[:i]), texts[i+2:]...)
		}
	}
	for i := 0; i < len(texts); i += 2 {
		name, value := "", any(string(texts[i+1]))
		for text := texts[i]; len(text) > 0; {
			r, size := utf8.DecodeRune(text)
			if r == utf8.RuneError && size == 1 {
				name += fmt.Sprintf(`\x%02x`, text[0])
			} else {
				name += string(text[:size])
			}
			text = text[size:]
		}
		var number float64
		if !utf8.Valid(texts[i+1]) {
			name, value = name+"_base64", base64.StdEncoding.EncodeToString(texts[i+1])
		} else if isJSON := json.Unmarshal(texts[i+1], &number) == nil; isJSON && len(texts[i+1]) <= 800 && !strings.ContainsAny(string(texts[i+1]), "nul \t\r\n") {
			value = json.Number(texts[i+1])
		}
		at := slices.Index(o.names, name)
		if at < 0 {
			at, o.names, o.values = len(o.names), append(o.names, name), append(o.values, nil)
		}
		o.values[at] = append(o.values[at], value)
	}
	return o, message, isWhole
}

// Whatever bytes an entry has, it is valid JSON of a bounded size.
func FuzzMessage(f *testing.F) {
	for _, text := range []string{"", "\x01a\x011", "\x07message\x01x\x01a\x01b", "\x01a\x01\xff\x01\xff\x03\xe2\x80\xa8", "\x01a\x031e9\x01a\x0500.1e"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var texts [][]byte
		size := 0
		for len(data) > 0 {
			n, used := binary.Uvarint(data)
			if used <= 0 {
				break
			}
			data = data[used:]
			n = min(n, uint64(len(data)))
			texts, data, size = append(texts, data[:n]), data[n:], size+int(n)
		}
		texts = texts[:len(texts)&^1]
		var m entry.Message
		m.Reset(stored(t, texts))
		check(t, &m, texts)
		require.LessOrEqual(t, m.Size(), 6*size+32*len(texts)+2)
	})
}

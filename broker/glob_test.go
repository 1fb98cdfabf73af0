package broker

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plainMatch is the documented rules of Redis globs, and what Redis 7.0.15 was seen to do with the empty topic.
func plainMatch(glob, topic string) bool {
	if topic == "" {
		return glob == ""
	}
	return plainRules(glob, topic)
}

// plainRules is plain recursion, slow on purpose.
func plainRules(glob, topic string) bool {
	if glob == "" {
		return topic == ""
	}
	if glob[0] == '*' { // takes any number of bytes: try them all
		for i := range len(topic) + 1 {
			if plainRules(glob[1:], topic[i:]) {
				return true
			}
		}
		return false
	}
	if topic == "" {
		return false
	}
	element, rest := plainElement(glob)
	return element(topic[0]) && plainRules(rest, topic[1:])
}

// plainElement reads what stands for one byte: a mark, a set, an escaped byte or a byte.
func plainElement(glob string) (takes func(byte) bool, rest string) {
	switch {
	case glob[0] == '?':
		return func(byte) bool { return true }, glob[1:]
	case glob[0] == '[':
		return plainSet(glob[1:])
	case glob[0] == '\\' && len(glob) > 1:
		glob = glob[1:]
	}
	return func(c byte) bool { return c == glob[0] }, glob[1:]
}

// plainSet reads a set up to its bracket, or to the end of a glob that forgot it.
func plainSet(glob string) (takes func(byte) bool, rest string) {
	rest, not := strings.CutPrefix(glob, "^")
	var in [256]bool
	for rest != "" && rest[0] != ']' {
		low, high, size := rest[0], rest[0], 1
		switch {
		case rest[0] == '\\' && len(rest) > 1:
			low, high, size = rest[1], rest[1], 2
		case len(rest) > 2 && rest[1] == '-':
			low, high, size = min(rest[0], rest[2]), max(rest[0], rest[2]), 3
		}
		for c := int(low); c <= int(high); c++ {
			in[c] = true
		}
		rest = rest[size:]
	}
	return func(c byte) bool { return in[c] != not }, strings.TrimPrefix(rest, "]")
}

func TestMatch(t *testing.T) {
	tests := []struct{ rule, glob, matches, not string }{ // topics parted by blanks; ~ is the empty topic
		{"a glob without marks is a name", `news`, "news", "new newss News ~"},
		{"the empty glob is the empty name", ``, "~", "a"},
		{"? is one byte", `h?llo`, "hello hallo h?llo h/llo", "hllo heello"},
		{"? is a byte and not a rune", `?`, "a", "ä ~"},
		{"* is any bytes and none", `h*llo`, "hllo heeeello h/e.llo", "hell llo"},
		{"a lone * is every topic but the empty one", `*`, "a a/b *", "~"},
		{"so are several", `**`, "a ab", "~"},
		{"* at the end", `a*`, "a ab a*", "ba ~"},
		{"* at the start", `*a`, "a ba aaa", "ab ~"},
		{"two stars are as good as one", `a**b`, "ab a-b a*b", "a b"},
		{"a star gives back what later ones need", `*ab*ba*`, "abba xabxbax ababa", "aba baab"},
		{"a set is one of its bytes", `h[ae]llo`, "hello hallo", "hillo haello hllo"},
		{"a set that starts with ^ is any other byte", `h[^e]llo`, "hallo hbllo h^llo", "hello hllo"},
		{"^ is itself further on", `[a^]`, "a ^", "b"},
		{"! does not negate", `[!a]`, "! a", "b"},
		{"a range", `h[a-c]llo`, "hallo hbllo hcllo", "hdllo h-llo"},
		{"a range turned round", `h[c-a]llo`, "hallo hbllo hcllo", "hdllo"},
		{"ranges and bytes together", `[0-9a-fx]`, "0 9 c x", "g - ~"},
		{"a negated range", `[^0-9]`, "a -", "0 5 9"},
		{"- is itself at either end of a set", `[-a]`, "- a", "b"},
		{"- before the bracket makes a range up to the bracket, and the set stays open", `[a-]`, "] ^ _ ` a", "- b ~"},
		{"a backslash takes the mark from a mark", `h\*llo`, "h*llo", "hllo hello h\\*llo"},
		{"a backslash before any other byte is nothing", `\a\b`, "ab", `\a\b`},
		{"a backslash is escaped by itself", `a\\`, `a\`, `a a\\`},
		{"a backslash at the end is itself", `a\`, `a\`, "a"},
		{"a backslash in a set takes the mark from the bracket", `[\]a]`, "] a", `\ b`},
		{"a backslash in a set takes the mark from the dash", `[a\-c]`, "a - c", `b \`},
		{"the first bracket closes: a set cannot start with one", `[]`, "", "~ a ]"},
		{"the empty set negated is every byte", `[^]`, "a ] ^", "~ ab"},
		{"an open set ends with the glob", `[ab`, "a b", "c [ab ~"},
		{"an open empty set is nothing", `[`, "", "~ ["},
		{"an open negated set is every byte", `[^`, "a ^", "~ ab"},
		{"an open set may end in a backslash", `[\`, `\`, "a ~"},
		{"a bracket without a set is itself", `a]`, "a]", "a"},
		{"marks in a set are bytes", `[*?]`, "* ?", "a ~"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			for _, topic := range strings.Fields(test.matches) {
				topic = strings.TrimPrefix(topic, "~")
				assert.True(t, Match(test.glob, []byte(topic)), "%q must match %q", test.glob, topic)
				assert.True(t, plainMatch(test.glob, topic), "the plain matcher: %q, %q", test.glob, topic)
			}
			for _, topic := range strings.Fields(test.not) {
				topic = strings.TrimPrefix(topic, "~")
				assert.False(t, Match(test.glob, []byte(topic)), "%q must not match %q", test.glob, topic)
				assert.False(t, plainMatch(test.glob, topic), "the plain matcher: %q, %q", test.glob, topic)
			}
		})
	}
}

func TestMatchTakesAnyBytes(t *testing.T) {
	assert.True(t, Match("a\x00*\xff", []byte("a\x00 \r\n\xff")))
	assert.True(t, Match("[\x80-\xff]", []byte{0xc3}), "ranges are of unsigned bytes")
	assert.False(t, Match("[\x80-\xff]", []byte("a")))
}

func TestMatchAgreesWithThePlainRules(t *testing.T) {
	const marks = `ab*?[]^-\`
	const stars = `aab*`
	random := rand.New(rand.NewPCG(seedFor(t), 1))
	pick := func(alphabet string, most int) string {
		b := make([]byte, random.IntN(most+1))
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(b)
	}
	hits := 0
	for i := range 200_000 {
		glob, topic := pick(marks, 8), pick("aabb"+marks, 6)
		if i%2 == 0 {
			glob, topic = pick(stars, 10), pick("aab", 10)
		}
		want := plainMatch(glob, topic)
		require.Equal(t, want, Match(glob, []byte(topic)), "glob %q, topic %q", glob, topic)
		if want {
			hits++
		}
	}
	assert.Greater(t, hits, 1000, "random pairs that never match would prove nothing")
}

// With plain recursion this would outlive the tests by far.
func TestMatchNeverTakesExponentialTime(t *testing.T) {
	long := strings.Repeat("a", 2000)
	assert.False(t, Match(strings.Repeat("a*", 500)+"c", []byte(long+"b")))
	assert.False(t, Match(strings.Repeat("*a", 500)+"?c", []byte(long+"b")))
	assert.True(t, Match(strings.Repeat("a*", 500)+"b", []byte(long+"b")))
	assert.False(t, Match(strings.Repeat("*[^b]", 500)+"c", []byte(long)))
}

// Were bytes behind a star tried at each place, this would outlive the tests as well.
func TestMatchReadsBytesBehindAStarOnce(t *testing.T) {
	piece, topic := strings.Repeat("a", 1<<20)+"b", []byte(strings.Repeat("a", 1<<23))
	for _, glob := range []string{"*" + piece, "*" + piece + "*", "a*" + piece + "*a", "*" + piece + "*?"} {
		assert.False(t, Match(glob, topic))
	}
	assert.True(t, Match("*"+piece+"*", append(topic, 'b')))
}

func FuzzMatch(f *testing.F) {
	for _, glob := range []string{"", "*", "a*b", "[a-c]?", "[^", `[\`, `\`, "[]", "[a-]", "**a**", "\xff*\x00"} {
		f.Add(glob, []byte("abc"))
		f.Add(glob, []byte{})
	}
	f.Fuzz(func(t *testing.T, glob string, topic []byte) {
		got := Match(glob, topic)
		if len(glob) > 12 || len(topic) > 12 {
			return // the plain matcher would take too long
		}
		require.Equal(t, plainMatch(glob, string(topic)), got, "glob %q, topic %q", glob, topic)
	})
}

func TestMatchDoesNotAllocate(t *testing.T) {
	topic := []byte("news.sport.football")
	assert.Zero(t, testing.AllocsPerRun(100, func() { Match("news.*.[e-g]oot?all", topic) }))
	long := strings.Repeat("b", 1000)
	glob, topic := "*"+long+"c*d", []byte("a"+long+"c"+long+"d")
	assert.Zero(t, testing.AllocsPerRun(100, func() { Match(glob, topic) }), "the bytes behind a star are not copied")
}

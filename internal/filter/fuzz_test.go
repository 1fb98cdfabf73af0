package filter

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requireSound compares Match with the oracle, with itself, and with Match on a completely expanded message.
func requireSound(t *testing.T, p *Predicate, payload string) Verdict {
	t.Helper()
	limits := Limits{Depth: 8}
	var m Message
	m.Reset([]byte("orders"), []byte(payload), limits)
	v := p.Match(&m)
	require.Equal(t, oracleMatch(p.String(), "orders", payload, limits), v, "%s\n%s", p, payload)
	require.Equal(t, v, p.Match(&m), "again: %s\n%s", p, payload)

	m.Reset([]byte("orders"), []byte(payload), limits)
	m.decode()
	for i := 0; i < m.used; i++ {
		for j := range m.expanded[i].members {
			m.children(&m.expanded[i].members[j])
		}
	}
	require.Equal(t, v, p.Match(&m), "all taken apart before: %s\n%s", p, payload)
	return v
}

func TestMatchAgainstTheOracle(t *testing.T) {
	r := random{rand.New(rand.NewPCG(5, 6))}
	count := map[Verdict]int{}
	refused := 0
	for range 6_000 {
		expression := r.condition(r.IntN(4))
		p, err := Compile(expression, Limits{})
		if err != nil {
			refused++
			continue
		}
		for range 3 {
			count[requireSound(t, p, r.payload())]++
		}
	}
	t.Log(count, "refused:", refused)
	for _, v := range []Verdict{No, Yes, Unreadable} {
		assert.Greater(t, count[v], 1000, "%s: a test of little", v)
	}
}

func FuzzCompile(f *testing.F) {
	for _, expression := range wrong {
		f.Add(expression)
	}
	for _, expression := range []string{
		strings.Repeat("(", 1000), strings.Repeat("!", 1000) + "a", strings.Repeat("a?a:", 1000) + "a", "a" + strings.Repeat("<a", 2000),
		"a" + strings.Repeat("[0]", 1000), "a in [1,2,]", "a.b.c[0] > 1e2", "`raw` == a", `"\u{1F600}" in a`, "not a.not", "a.in in b", strings.Repeat("1", 4000) + "a",
	} {
		f.Add(expression)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		l := Limits{Expression: 64 << 10}
		p, err := Compile(expression, l)
		if err != nil {
			var e *Error
			require.ErrorAs(t, err, &e)
			require.GreaterOrEqual(t, e.Column, 1)
			require.LessOrEqual(t, e.Column, utf8.RuneCountInString(expression)+1)
			require.NotContains(t, e.Text, "\n")
			require.LessOrEqual(t, len(e.Text), 400)
			require.NotEqual(t, "this cannot be read", e.Text, "a panic of the parser")
			return
		}
		require.Equal(t, expression, p.String())
		_, err = Compile(p.String(), l)
		require.NoError(t, err)
		var m Message
		m.Reset([]byte("a"), []byte(`{"a":{"b":[1,"x",{}]}}`), l)
		require.LessOrEqual(t, p.Match(&m), Unreadable)
	})
}

func FuzzMatch(f *testing.F) {
	r := random{rand.New(rand.NewPCG(7, 8))}
	for range 200 {
		f.Add(r.condition(r.IntN(4)), r.payload())
	}
	for _, payload := range []string{"", "{", `{"a":`, strings.Repeat("[", 100), `{"a":1e99999}`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`, "{}}"} {
		f.Add("a == 1 || has(a)", payload)
	}
	for _, digits := range append(tooLong, farExponents...) {
		f.Add("a == 1 || a > 1e18 || a == a", `{"a":`+digits+`}`)
	}
	f.Fuzz(func(t *testing.T, expression, payload string) {
		p, err := Compile(expression, Limits{})
		switch {
		case err != nil:
		case len(payload) > 4096: // it would take the oracle too long
			var m Message
			m.Reset(nil, []byte(payload), Limits{})
			require.LessOrEqual(t, p.Match(&m), Unreadable)
		default:
			requireSound(t, p, payload)
		}
	})
}

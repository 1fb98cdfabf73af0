package filter

import (
	"fmt"
	"testing"

	"github.com/expr-lang/expr"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

const (
	benchExpression = `price > 100 && region == "eu-west" && user.id == 4711`
	// 190 bytes
	benchPayload = `{"id":"01HZX3T9","type":"order.created","price":129.9,"currency":"EUR","region":"eu-west",` +
		`"user":{"id":4711,"name":"Ann Example","vip":true},"items":[{"sku":"A-1","n":2}],"note":"thank you"}`
)

func mustCompile(t testing.TB, expression string) *Predicate {
	t.Helper()
	p, err := Compile(expression, Limits{})
	require.NoError(t, err)
	return p
}

func BenchmarkMatch(b *testing.B) {
	require.Len(b, benchPayload, 190)
	p := mustCompile(b, benchExpression)
	payload := []byte(benchPayload)
	var m Message
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Reset(nil, payload, Limits{})
			if p.Match(&m) != Yes {
				b.Fatal()
			}
		}
	})
	b.Run("decoded", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if p.Match(&m) != Yes {
				b.Fatal()
			}
		}
	})
	b.Run("text", func(b *testing.B) { // no JSON: nothing is decoded
		b.ReportAllocs()
		text := []byte("hello")
		for b.Loop() {
			m.Reset(nil, text, Limits{})
			if p.Match(&m) != Unreadable {
				b.Fatal()
			}
		}
	})
}

// One message and many predicates on the same fields, each with its own price.
func BenchmarkPredicates(b *testing.B) {
	payload := []byte(benchPayload)
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			predicates := make([]*Predicate, n)
			for i := range predicates {
				predicates[i] = mustCompile(b, fmt.Sprintf(`price > %d && region == "eu-west" && user.id == 4711`, 100+i%20))
			}
			var m Message
			b.ReportAllocs()
			for b.Loop() {
				m.Reset(nil, payload, Limits{})
				for _, p := range predicates {
					if p.Match(&m) != Yes {
						b.Fatal()
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/predicate")
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Compile(benchExpression, Limits{})
	}
}

// For comparison: the library's own virtual machine, with strict functions as operators for the same semantics, and
// unchanged, with the payload decoded to a map.
func BenchmarkLibrary(b *testing.B) {
	fields, _ := gjson.Parse(benchPayload).Value().(map[string]any)
	run := func(name, expression string, options ...expr.Option) {
		b.Run(name, func(b *testing.B) {
			program, err := expr.Compile(expression, append(options, expr.Env(map[string]any{}), expr.AllowUndefinedVariables())...)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if out, err := expr.Run(program, fields); err != nil || out != true {
					b.Fatal(out, err)
				}
			}
		})
	}
	b.Run("decode", func(b *testing.B) { // to a map, once for each message
		b.ReportAllocs()
		for b.Loop() {
			if !gjson.Valid(benchPayload) || gjson.Parse(benchPayload).Value() == nil {
				b.Fatal()
			}
		}
	})
	run("decoded", benchExpression)
	strict := func(compare func(a, b any) (any, error)) func(args ...any) (any, error) {
		return func(args ...any) (any, error) { return compare(args[0], args[1]) }
	}
	run("strict", `more(price, 100) && same(region, "eu-west") && same(user.id, 4711)`,
		expr.Function("more", strict(func(x, y any) (any, error) { return x.(float64) > float64(y.(int)), nil }), new(func(any, any) bool)),
		expr.Function("same", strict(func(x, y any) (any, error) {
			if n, ok := y.(int); ok {
				return x.(float64) == float64(n), nil
			}
			return x.(string) == y.(string), nil
		}), new(func(any, any) bool)))
}

package filter

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The server charges clients for predicates, so MemSize must not underestimate any expression.
func TestAPredicateHoldsNoMoreThanItsWeight(t *testing.T) {
	list := func(element func(i int) string) string {
		var elements []string
		for i := range 245 {
			elements = append(elements, element(i))
		}
		return " || a in [" + strings.Join(elements, ", ") + "]"
	}
	tests := []struct{ what, rest string }{ // behind n == i
		{"what is short", ""},
		{"a long text", ` || a == "` + strings.Repeat("x", 4000) + `"`},
		{"an array of numbers", list(func(i int) string { return fmt.Sprint(i) })},
		{"an array of texts", list(func(i int) string { return fmt.Sprintf("%q", fmt.Sprint(i)) })},
		{"an array of fields", list(func(int) string { return "b" })},
		{"arrays just too long to be walked over", strings.Repeat(" && a in [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", 12)},
		{"paths", strings.Repeat(" && a.b[0]", 60)},
		{"one long path", " && a" + strings.Repeat(".b", 245)},
		{"fields", strings.Repeat("&&a", 125)},
		{"negations", strings.Repeat(" && !(a<b)", 48)},
		{"comparisons that share a side", "&&a" + strings.Repeat("<a", 60)},
		{"differences", strings.Repeat("-a", 120)},
		{"choices", "&&(" + strings.Repeat("a?a:", 60) + "a)"},
	}
	for _, test := range tests {
		t.Run(test.what, func(t *testing.T) {
			var c Cache
			held := make([]*Predicate, 200)
			before := heap()
			for i := range held {
				p, err := c.Compile(fmt.Sprintf("n == %d%s", i, test.rest), Limits{})
				require.NoError(t, err)
				held[i] = p
			}
			each := (heap() - before) / len(held)
			assert.LessOrEqual(t, each, held[len(held)-1].MemSize())
			runtime.KeepAlive(&c)
		})
	}
}

// heap returns the bytes in use.
func heap() int {
	runtime.GC()
	runtime.GC() // frees what the cleanups of the first collection released
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

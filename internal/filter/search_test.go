package filter

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Long parts of repetitive texts, for which a search backtracks often.
func TestContainsAgainstTheStandardLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	found := 0
	for range 2000 {
		unit := strings.Repeat("a", r.IntN(20)) + "b"
		text := []byte(strings.Repeat(unit, 1+r.IntN(200)))
		for range r.IntN(3) {
			text[r.IntN(len(text))] = 'c'
		}
		from := r.IntN(len(text))
		part := []byte(string(text[from : from+r.IntN(len(text)-from)]))
		if len(part) > 0 && r.IntN(2) == 0 {
			part[r.IntN(len(part))] = "abc"[r.IntN(3)]
		}
		want := strings.Contains(string(text), string(part))
		require.Equal(t, want, contains(string(text), string(part)), "%s\n%s", text, part)
		if want && len(part) > kmpThreshold {
			found++
		}
	}
	require.Greater(t, found, 100)
}

package stream

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkSeeker looks up many ids by one seeker: mostly ascending ones, near and far, some that are not there.
func checkSeeker(t *testing.T, r *rand.Rand, st *Stream, m *modelIndex) {
	v, at := st.ids.view(), 0
	x := seeker{view: &v}
	for range min(len(m.entries), 500) {
		switch r.IntN(20) {
		case 0:
			at = r.IntN(len(m.entries))
		case 1:
			at = 0
		default:
			at = min(at+r.IntN(1+r.IntN(300)), len(m.entries)-1)
		}
		want := m.entries[at]
		id := want.id
		if r.IntN(4) == 0 {
			id, _ = id.Next()
			_, exists := m.find(id)
			ordinal, ok := x.find(id)
			require.Equal(t, exists, ok)
			require.Greater(t, ordinal, want.ordinal)
			continue
		}
		ordinal, ok := x.find(id)
		require.True(t, ok, "%v", id)
		require.Equal(t, want.ordinal, ordinal)
	}
}

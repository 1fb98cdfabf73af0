package command

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkApplyXAdd applies entries of 64 commands that another node has proposed.
func BenchmarkApplyXAdd(b *testing.B) {
	s := newOrder(b, nil).nodes[0]
	body := appendOrigin(nil, &origin{isBroker: true})
	for range 64 {
		body = append(body, orderedCommand, 5)
		for _, arg := range []string{"XADD", "d.topic", "*", "m", strings.Repeat("x", 64)} {
			body = appendLong(body, []byte(arg))
		}
	}
	finish := func(uint64) []byte { return nil }
	b.ReportAllocs()
	for at := int64(1); b.Loop(); at++ {
		require.NoError(b, s.applier.Apply(&OrderedEntry{Time: at, Parts: []OrderedPart{{Body: body}}, Finish: finish}))
	}
}

package log

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A clean stop leaves nothing that was allocated ahead: the next start would look for records in it.
func TestCleanStopLeavesNoZeros(t *testing.T) {
	files := NewMemory(0)
	e := openEntries(t, newRand(t), Options{Files: files, SegmentSize: 100_000, Recent: 1})
	for range 3 {
		e.appendRandom(200, 3) // more than half of a segment: the next one is there
		require.NoError(t, e.Close())
		names, err := files.List()
		require.NoError(t, err)
		segments := 0
		for _, name := range names {
			if _, ok := parseSegmentName(name); !ok {
				continue
			}
			segments++
			b, err := ReadFile(files, name)
			require.NoError(t, err)
			if assert.NotEmpty(t, b, name) {
				assert.Greater(t, len(b), segmentHeaderSize, name)
				assert.Less(t, len(b)-len(trimZeros(b)), 600_000, "zeros of a payload")
			}
		}
		assert.Len(t, e.view.segments, segments)
		last := e.view.segments[segments-1]
		size := int64(0)
		if b, err := ReadFile(files, last.name()); assert.NoError(t, err) {
			size = int64(len(b))
		}
		if !last.sealed {
			assert.Equal(t, last.end, size)
		}
		e.open(t, Options{Files: files, SegmentSize: 100_000, Recent: 1})
		e.requireRandomRanges(t, 10, 3)
	}
	require.NoError(t, e.Close())
}

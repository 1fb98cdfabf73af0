package log

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Case (c) of decision 029, at a thousandth of its size: one stream is kept for 7 days, one for ever. The space of what is trimmed is given
// back, and what stays is seldom written again.
func TestSpaceOfRetention(t *testing.T) {
	for _, test := range []struct {
		short          int     // percent of the bytes that the stream of 7 days has
		written, files float64 // at most: bytes written for a byte of payload, bytes of files for a visible one
	}{{99, 1.1, 1.4}, {90, 1.3, 1.4}, {50, 1.6, 2}} {
		t.Run(fmt.Sprint(test.short), func(t *testing.T) {
			const (
				segment, day = 64 << 10, 1 << 20
				days, size   = 30, 1 << 10
				perHour      = day / 24 / size
			)
			e := openEntries(t, newRand(t), Options{Files: NewMemory(0), SegmentSize: segment, Recent: 1})
			var hours []uint64 // the last ordinal of the short stream at the end of each
			var live, files float64
			for hour := range days * 24 {
				for range perHour {
					key := uint64(1)
					if e.r.IntN(100) >= test.short {
						key = 2
					}
					e.append(size/3, key)
				}
				hours = append(hours, e.last[1])
				if hour >= 7*24 {
					e.remove(1, hours[hour-7*24]-100*perHour, hours[hour-7*24])
				}
				if hour%6 == 5 { // as often as checkpoints come
					e.cutHead(t)
					require.NoError(t, e.stopSyncer())
					require.NoError(t, e.giveBack())
				}
				if hour < 14*24 {
					continue
				}
				files += float64(e.Stats().Bytes)
				live += float64(hour)*perHour*size*float64(100-test.short)/100 + 7*24*perHour*size*float64(test.short)/100
			}
			stats := e.Stats()
			written := (float64(stats.AppendedBytes) + float64(stats.RewrittenBytes)) / float64(stats.AppendedBytes)
			t.Logf("%d %%: written/payload %.2f, files/live %.2f, %d segments at the end, %d removed, %d rewritten",
				test.short, written, files/live, stats.Segments, stats.Removed, stats.Rewritten)
			assert.LessOrEqual(t, written, test.written)
			assert.LessOrEqual(t, files/live, test.files)
			require.NoError(t, e.Close())
		})
	}
}

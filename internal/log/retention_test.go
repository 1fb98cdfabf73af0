package log

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/invariant"
)

// Case (c) of decision 029, at a thousandth of its size: one stream is kept for 7 days, one for ever. Files are at most 1.3 times what is
// visible of them, at any time, and what stays is seldom written again.
func TestSpaceOfRetention(t *testing.T) {
	days := 90
	if testing.Short() || invariant.On { // as for everyNth
		days = 30
	}
	for _, test := range []struct {
		short   int     // percent of the bytes that the stream of 7 days has
		written float64 // at most: bytes written for a byte of payload
	}{{99, 1.1}, {90, 1.3}, {50, 1.7}, {10, 1.1}} {
		t.Run(fmt.Sprint(test.short), func(t *testing.T) {
			const (
				segment, day = 64 << 10, 1 << 20
				size         = 1 << 10
				perHour      = day / 24 / size
			)
			e := openEntries(t, newRand(t), Options{Files: NewMemory(0), SegmentSize: segment, Recent: 1})
			var kept uint64 // the first ordinal of the short stream that is visible
			e.o.Live = func(spans []Span) (live []Span) {
				for _, s := range spans {
					if end := s.First + uint64(s.Count); s.Key == 2 || end > kept {
						first := s.First
						if s.Key == 1 {
							first = max(first, kept)
						}
						live = append(live, Span{s.Key, first, int(end - first)})
					}
				}
				return live
			}
			var hours []uint64 // the last ordinal of the short stream at the end of each
			var sum, most float64
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
					kept = hours[hour-7*24] + 1
				}
				if hour%6 == 5 { // as often as checkpoints come
					e.cutHead(t)
					require.NoError(t, e.awaitSyncer())
					require.NoError(t, e.giveBack())
				}
				if hour < 14*24 {
					continue
				}
				all, visible := e.last[1]+e.last[2], e.last[2]+e.last[1]-kept+1
				ratio := float64(e.Stats().Bytes) / float64(e.Stats().AppendedBytes) * float64(all) / float64(visible)
				sum, most = sum+ratio, max(most, ratio)
			}
			stats := e.Stats()
			written := (float64(stats.AppendedBytes) + float64(stats.RewrittenBytes)) / float64(stats.AppendedBytes)
			t.Logf("%d %%, %d days: written/payload %.2f, files/visible %.2f, %.2f at most; %d segments at the end, %d removed, %d rewritten",
				test.short, days, written, sum/float64((days-14)*24), most, stats.Segments, stats.Removed, stats.Rewritten)
			assert.LessOrEqual(t, written, test.written)
			assert.LessOrEqual(t, most, 1.3)
			require.NoError(t, e.Close())
		})
	}
}

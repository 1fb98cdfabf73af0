package daemon

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMemoryIsReleasedOnceAfterEachLoad(t *testing.T) {
	quiet := make([]float64, quietToRelease)
	tests := []struct {
		sentence string
		used     []float64 // processors' worth of time, tick by tick
		want     int
	}{
		{"not without a load", slices.Repeat(quiet, 3), 0},
		{"not under load", slices.Repeat([]float64{1}, 100), 0},
		{"not at once", append([]float64{1}, quiet[1:]...), 0},
		{"when it has been quiet for a while", append([]float64{1}, quiet...), 1},
		{"not again", slices.Concat([]float64{1}, quiet, quiet, quiet), 1},
		{"but after the next load", slices.Concat([]float64{1}, quiet, []float64{1}, quiet), 2},
		{"not while a little goes on", append([]float64{1}, slices.Repeat([]float64{0.05}, 100)...), 0},
		{"a little starts the wait anew", slices.Concat([]float64{1}, quiet[1:], []float64{0.05}, quiet[1:]), 0},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			var m memoryReleaser
			released := 0
			for _, used := range test.used {
				if m.step(used) {
					released++
				}
			}
			assert.Equal(t, test.want, released)
		})
	}
}

package median

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOf(t *testing.T) {
	tests := []struct {
		sentence string
		values   []float64
		want     float64
	}{
		{"of one it is that one", []float64{3}, 3},
		{"of three it is the middle one", []float64{9, 1, 2}, 2},
		{"of four it is between the middle two", []float64{4, 1, 2, 100}, 3},
		{"an outlier moves nothing", []float64{1, 2, 3, 4, 1e9}, 3},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			before := append([]float64(nil), test.values...)
			assert.InDelta(t, test.want, Of(test.values), 1e-9)
			assert.Equal(t, before, test.values, "the values keep their order")
		})
	}
	assert.True(t, math.IsNaN(Of(nil)), "of none there is none")
}

func TestRange(t *testing.T) {
	low, high := Range([]float64{3, 1, 2})
	assert.Equal(t, []float64{1, 3}, []float64{low, high})
	low, high = Range(nil)
	assert.True(t, math.IsNaN(low) && math.IsNaN(high))
}

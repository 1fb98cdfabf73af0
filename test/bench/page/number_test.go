package page

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNumber(t *testing.T) {
	tests := []struct {
		v    float64
		want string
	}{
		{45_123_456, "45.1 M"}, {1_220_000, "1.22 M"}, {107_400, "107 k"}, {9999, "9999"}, {238, "238"}, {5, "5.00"},
		{0.0213, "0.0213"}, {0, "0"}, {math.NaN(), "–"},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, Number(test.v))
	}
}

func TestSpread(t *testing.T) {
	for want, values := range map[string][]float64{
		"2.00 M (1.00 M to 3.00 M)": {3e6, 1e6, 2e6}, "5.00": {5}, "7.00": {7.001, 7.002}, "–": nil,
	} {
		assert.Equal(t, want, Spread(values))
	}
}

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

// Package median is the one statistic that is shown: what a single disturbed round cannot move.
package median

import (
	"math"
	"slices"
)

// Of is the middle of the values, the mean of the two middle ones when their number is even, and NaN of none.
func Of(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Package median has the statistics that are shown: the median, which a single disturbed round cannot move, and the
// range beside it, which shows how much the rounds scatter.
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

// Range is the least and the greatest value, NaN of none.
func Range(values []float64) (low, high float64) {
	if len(values) == 0 {
		return math.NaN(), math.NaN()
	}
	return slices.Min(values), slices.Max(values)
}

package page

import (
	"math"
	"strconv"

	"github.com/conchmq/conch/test/bench/median"
)

// Number shows a value with three significant digits and no exponent: 45.1 M, 5,000 and 0.021 are what people compare.
func Number(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	for _, unit := range []struct {
		from, size float64
		name       string
	}{{1e6, 1e6, " M"}, {1e4, 1e3, " k"}} {
		if math.Abs(v) >= unit.from {
			return digits(v/unit.size) + unit.name
		}
	}
	return digits(v)
}

func digits(v float64) string {
	if v == 0 {
		return "0"
	}
	decimals := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return strconv.FormatFloat(v, 'f', min(decimals, 4), 64)
}

// Spread shows the median of some values and, if they differ, the least and the greatest: 45.1 M (44.0 M to 47.2 M).
func Spread(values []float64) string {
	text := Number(median.Of(values))
	low, high := median.Range(values)
	if least, greatest := Number(low), Number(high); least != greatest {
		text += " (" + least + " to " + greatest + ")"
	}
	return text
}

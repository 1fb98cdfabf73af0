package filter

import (
	"math"
	"strconv"
	"strings"
)

// kind is what a value is; several of them together are what it may be.
type kind uint8

const (
	null kind = 1 << iota
	boolean
	integer // a number that is an int64
	float   // a number that is a float64 and no int64
	str
	array
	object
	unrepresentable // a number that is neither: nothing can be done with it

	number  = integer | float
	scalar  = boolean | number | str
	anyKind = null | scalar | array | object | unrepresentable
)

// String names one kind, or the number, for people.
func (k kind) String() string {
	switch {
	case k == null:
		return "nil"
	case k == boolean:
		return "a boolean"
	case k&number != 0 && k&^number == 0:
		return "a number"
	case k == str:
		return "a string"
	}
	return "one or the other"
}

// value is a scalar, or tells what else was read. Two scalars of one type are equal if they are equal by ==, because
// each number has one form only: see floatValue.
type value struct {
	kind kind
	bits uint64 // of a whole, of a fraction, 1 for true; of an array or object that was expanded, where: see Message
	text string // of an array or object, its JSON
}

func intValue(i int64) value   { return value{kind: integer, bits: uint64(i)} }
func strValue(s string) value  { return value{kind: str, text: s} }
func (v value) integer() int64 { return int64(v.bits) }
func (v value) float() float64 { return math.Float64frombits(v.bits) }
func (v value) isNumber() bool { return v.kind&number != 0 }
func sameType(a, b value) bool {
	return a.kind == b.kind && a.kind&scalar != 0 || a.isNumber() && b.isNumber()
}
func isInt64(f float64) bool     { return f == math.Trunc(f) && f >= math.MinInt64 && f < -math.MinInt64 }
func isFinite(f float64) bool    { return !math.IsNaN(f) && !math.IsInf(f, 0) }
func (v value) verdict() Verdict { return Verdict(v.bits) }

func boolValue(b bool) value {
	if b {
		return value{kind: boolean, bits: 1}
	}
	return value{kind: boolean}
}

// floatValue is the one form of a number: whole if it can be, so that -0, 1e2 and 100.0 are 0, 100 and 100. It is false
// for what is no finite number.
func floatValue(f float64) (value, bool) {
	switch {
	case isInt64(f):
		return intValue(int64(f)), true
	case isFinite(f):
		return value{kind: float, bits: math.Float64bits(f)}, true
	}
	return value{}, false
}

// asFloat is a number as a float64, exact for a fraction and for a whole up to 2^53.
func (v value) asFloat() float64 {
	if v.kind == integer {
		return float64(v.integer())
	}
	return v.float()
}

// maxNumberLen is how many bytes a number may have. strconv.ParseFloat keeps 800 digits, and five of an exponent: of
// what has more it makes another number. Up to here it is right: an exponent that it cut short is 10000 at least, and
// 800 digits do not bring that back to where a float64 is.
const maxNumberLen = 800

// parseNumber reads a decimal number as JSON has them, and also 1. and .5. It is false for what is none, and for one
// that no value can hold, or that is too long.
func parseNumber(s string) (value, bool) {
	if len(s) > maxNumberLen {
		return value{}, false
	}
	if !strings.ContainsAny(s, ".eE") {
		i, err := strconv.ParseInt(s, 10, 64)
		return intValue(i), err == nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return value{}, false
	}
	// From 2^53 on not every integer is a float64, so that the digits must be asked.
	if math.Abs(f) >= 1<<53 && math.Abs(f) <= 1<<63 {
		if i, ok := parseInteger(s); ok {
			return intValue(i), true
		}
	}
	return floatValue(f)
}

// parseInteger reads a number with a point or an exponent whose value is an int64. What comes here is not too long and
// between 2^53 and 2^63, about, so that its exponent is small.
func parseInteger(s string) (int64, bool) {
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	exponent := 0
	if e := strings.IndexAny(s, "eE"); e >= 0 {
		var err error
		if exponent, err = strconv.Atoi(s[e+1:]); err != nil {
			return 0, false
		}
		s = s[:e]
	}
	before, after, _ := strings.Cut(s, ".")
	digits := strings.TrimLeft(before+after, "0")
	zeros := exponent - len(after) // how many zeros follow the digits, or how many digits are behind the point
	if zeros < 0 {
		trimmed := strings.TrimRight(digits, "0")
		if len(digits)-len(trimmed) < -zeros {
			return 0, false
		}
		digits, zeros = digits[:len(digits)+zeros], 0
	}
	if len(digits)+zeros > 19 {
		return 0, false
	}
	i, err := strconv.ParseInt(sign+digits+strings.Repeat("0", zeros), 10, 64)
	return i, err == nil
}

package filter

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// kind is the kind of a value, or a set of possible kinds.
type kind uint8

const (
	null kind = 1 << iota
	boolean
	integer // a number in the range of int64
	float   // any other number in the range of float64
	str
	array
	object
	unrepresentable // a number that is neither; every operator on it is Unreadable

	number  = integer | float
	scalar  = boolean | number | str
	anyKind = null | scalar | array | object | unrepresentable
)

// String names one kind, number, or that of a header, for error texts.
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
	case k&number != 0 && k&^(number|str) == 0:
		return "a number or a string"
	}
	return "one or the other"
}

// value is a scalar, or the raw text of an array or object. Two scalars of one type are equal if == holds, because each
// number has one form only: see floatValue.
type value struct {
	kind kind
	bits uint64 // of an integer or a float; 1 for true; of an expanded array or object, its index: see Message.children
	text string // of a string; of an array or object, its JSON
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

// floatValue returns the one form of a number: an integer if possible, so that -0, 1e2 and 100.0 are 0, 100 and 100. The
// bool is false if f is not finite.
func floatValue(f float64) (value, bool) {
	switch {
	case isInt64(f):
		return intValue(int64(f)), true
	case isFinite(f):
		return value{kind: float, bits: math.Float64bits(f)}, true
	}
	return value{}, false
}

// asFloat returns a number as a float64: exact for a float, and for an integer up to 2^53.
func (v value) asFloat() float64 {
	if v.kind == integer {
		return float64(v.integer())
	}
	return v.float()
}

// maxNumberLen is the maximum length of a number in bytes. strconv.ParseFloat keeps 800 digits and five digits of an
// exponent, and returns another number for longer ones. Up to this length it is exact: a truncated exponent is at least
// 10000, and 800 digits do not bring that back into the range of float64.
const maxNumberLen = 800

// parseNumber parses a decimal number of JSON, and also 1. and .5. The bool is false for other text, for a number that no
// value can hold, and for one that is too long.
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
	// From 2^53 on not every integer is a float64: parse the digits.
	if math.Abs(f) >= 1<<53 && math.Abs(f) <= 1<<63 {
		if i, ok := parseInteger(s); ok {
			return intValue(i), true
		}
	}
	return floatValue(f)
}

// IsNumber reports whether text is a number of JSON that a float64 can hold, so that any reader of JSON can.
func IsNumber(text []byte) bool {
	if !isNumberSyntax(text) {
		return false
	}
	f, err := strconv.ParseFloat(unsafeString(text), 64)
	return err == nil && isFinite(f)
}

// isNumberSyntax reports whether text of a bounded length is a number by the grammar of JSON.
func isNumberSyntax(text []byte) bool {
	if len(text) > maxNumberLen {
		return false
	}
	rest, _ := bytes.CutPrefix(text, []byte("-"))
	digits := leadingDigits(rest)
	if digits == 0 || digits > 1 && rest[0] == '0' {
		return false
	}
	if rest = rest[digits:]; len(rest) > 0 && rest[0] == '.' {
		digits = leadingDigits(rest[1:])
		if digits == 0 {
			return false
		}
		rest = rest[1+digits:]
	}
	if len(rest) > 0 && rest[0]|0x20 == 'e' {
		if rest = rest[1:]; len(rest) > 0 && (rest[0] == '+' || rest[0] == '-') {
			rest = rest[1:]
		}
		digits = leadingDigits(rest)
		return digits > 0 && digits == len(rest)
	}
	return len(rest) == 0
}

func leadingDigits(b []byte) (n int) {
	for n < len(b) && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	return n
}

// parseInteger parses a number with a point or an exponent whose value is an int64. Its input is at most maxNumberLen long
// and about between 2^53 and 2^63, so that the exponent is small.
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
	zeros := exponent - len(after) // zeros after the digits; negative: digits after the point
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

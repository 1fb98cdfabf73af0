package filter

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each row holds for the number in the expression and in a field.
func TestNumbers(t *testing.T) {
	tests := []struct {
		number, is string
		want       Verdict
		why        string
	}{
		{"9007199254740993", "> 9007199254740992", Yes, "2^53 + 1"},
		{"9007199254740993", "> 9007199254740992.0", Yes, "also against a float"},
		{"9007199254740993.0", "== 9007199254740993", Yes, "a float that is whole is an integer"},
		{"9007199254740993e0", "== 9007199254740993", Yes, "in any form"},
		{"90071992547409930e-1", "== 9007199254740993", Yes, "in this one, too"},
		{"0.9007199254740993e16", "== 9007199254740993", Yes, "or this"},
		{"9223372036854775807", "== 9223372036854775807.0", Yes, "the last integer"},
		{"9223372036854775807", "< 9.3e18", Yes, "below a float beyond the integers"},
		{"9223372036854775807", "> -9.3e18", Yes, "above one"},
		{"9223372036854775808.0", "> 9223372036854775807", Yes, "a float begins where integers end"},
		{"1e19", "== 10000000000000000000.0", Yes, "digits with a point are a float"},
		{"1", "< 1.5", Yes, "between integers"},
		{"2", "> 1.5", Yes, "on the other side"},
		{"-1", "> -1.5", Yes, "below zero"},
		{"-2", "< -1.5", Yes, "on the other side"},
		{"0", "< 5e-324", Yes, "the smallest float"},
		{"0", "== 1e-400", Yes, "what is smaller is zero"},
		{"0.1", "< 0.2", Yes, "fractions"},
		{"0.1", "+ 0.2 == 0.3", No, "are float64"},
		{"0.5", "+ 0.5 == 1", Yes, "a sum that is whole is an integer"},
		{"0.5", "* 4 % 2 == 0", Yes, "and serves as one"},
		{"7", "/ 2 == 3.5", Yes, "a division that leaves something"},
		{"6", "/ 2 % 2 == 1", Yes, "one that does not"},
		{"7", "% -2 == 1", Yes, "the sign of the left side"},
		{"9223372036854775807", "* 1 > 0", Yes, "a product that fits"},
		{"9223372036854775807", "/ 2 > 4611686018427387903", Yes, "a division that leaves something, large"},
	}
	for _, test := range tests {
		t.Run(test.number+" "+test.is, func(t *testing.T) {
			assert.Equal(t, test.want, match(t, "a "+test.is, `{"a":`+test.number+`}`), test.why)
			assert.Equal(t, test.want, match(t, test.number+" "+test.is, ""), test.why)
		})
	}
	for _, expression := range []string{
		"a + 1 > 0", "1 + a > 0", "a * 2 > 0", "a - -1 > 0", "-a - 2 < 0", "a / 0 > 0", "a % 0 > 0", "a % 0.5 > 0", "a * 1e300 * a * 1e300 > 0",
		"1e308 * a > 0", "a / (b - b) > 0", "(-a - 1) / -1 > 0", "-(-a - 1) > 0",
	} {
		assert.Equal(t, Unreadable, match(t, expression, `{"a":9223372036854775807, "b": 1.5}`), expression)
	}
	for _, number := range []string{"0x10", "0X1_0", "0b1_0000", "0o20", "1_6", "16.", "016", "1.6e1", "1.6E+1"} {
		assert.Equal(t, Yes, match(t, "a == "+number, `{"a":16}`), number)
	}
	assert.Equal(t, Yes, match(t, "a == .5", `{"a":0.5}`))
}

// zeros returns n zeros.
func zeros(n int) string { return strings.Repeat("0", n) }

// tooLong are numbers that strconv.ParseFloat misreads, because it ignores some of their digits or of the digits of their
// exponents. Some of the exponents overflow.
var tooLong = []string{
	"1" + zeros(92233+18) + ".0e-9223372036854775808",
	"1" + zeros(92233+18) + ".0e-9223372036854775807",
	"1" + zeros(10_000+18) + ".0e-10000000000",
	"-1" + zeros(99_999+18) + "e-999999",
	"0." + zeros(92233-18) + "1e9223372036854775807",
	"0." + zeros(92233-18) + "1e99999999999999999999",
	"1" + zeros(999_000) + "e-999000",
	"1" + zeros(800) + "e-800",
	"9007199254740993" + zeros(784) + "1",
	"9007199254740993" + zeros(784) + "1e-785",
	"1." + zeros(799),
}

// farExponents are short numbers with exponents that overflow.
var farExponents = []string{
	"1e9223372036854775807", "-1e9223372036854775808", "1.0e99999999999999999999", "1e99999", "1e" + strings.Repeat("9", 700),
	"1.0e-9223372036854775808", "1.00e-9223372036854775807", "-1e-99999999999999999999", "0e99999", "1e-" + strings.Repeat("9", 700),
}

// Numbers too long for an exact result are unrepresentable; all others are exact.
func TestLongNumbers(t *testing.T) {
	for _, digits := range append(tooLong, farExponents[:5]...) {
		assert.Equal(t, Unreadable, match(t, "a == a", `{"a":`+digits+`}`), truncate(digits))
		assert.Equal(t, Yes, match(t, "has(a)", `{"a":`+digits+`}`), truncate(digits))
	}
	for _, digits := range farExponents[5:] {
		assert.Equal(t, Yes, match(t, "a == 0", `{"a":`+digits+`}`), digits)
	}
	for _, digits := range []string{
		"1e" + zeros(798), "1e+" + zeros(797), "1" + zeros(790) + "e-790", "1" + zeros(790) + "e-" + zeros(3) + "790",
		"0." + zeros(789) + "1e790", "1." + zeros(798),
	} {
		assert.Equal(t, Yes, match(t, "a == 1", `{"a":`+digits+`}`), truncate(digits))
	}
	assert.Equal(t, Yes, match(t, "a == 9007199254740993", `{"a":9007199254740993`+zeros(770)+"e-770}"))
}

// Integers against big.Int, at the ends of 64 bits and anywhere else.
func TestArithmeticIsExactOrUnreadable(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	ends := []int64{0, 1, -1, 2, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, math.MinInt64 + 1, 1 << 32, -1 << 31, 1 << 53, 3037000500}
	pick := func() int64 {
		switch random.IntN(3) {
		case 0:
			return ends[random.IntN(len(ends))]
		case 1:
			return int64(random.Uint64())
		}
		return random.Int64N(1<<33) - 1<<32
	}
	exact := map[string]func(z, x, y *big.Int) *big.Int{
		"+": (*big.Int).Add, "-": (*big.Int).Sub, "*": (*big.Int).Mul, "/": (*big.Int).Quo, "%": (*big.Int).Rem,
	}
	for range 5_000 {
		x, y := pick(), pick()
		for operator, compute := range exact {
			got, ok := arithmetic[operator](intValue(x), intValue(y))
			if y == 0 && (operator == "/" || operator == "%") {
				require.False(t, ok)
				continue
			}
			want := compute(new(big.Int), big.NewInt(x), big.NewInt(y))
			if operator == "/" && x != math.MinInt64 && x%y != 0 {
				require.True(t, ok)
				continue
			}
			at := fmt.Sprintf("%d %s %d", x, operator, y)
			require.Equal(t, want.IsInt64(), ok, at)
			if ok && got.kind == integer {
				require.Equal(t, want.Int64(), got.integer(), at)
			}
		}
	}
}

// The order of any two numbers is that of big.Float.
func TestOrderIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func() (value, *big.Float) {
		i := int64(random.Uint64()) >> random.IntN(64)
		if random.IntN(2) == 0 {
			return intValue(i), new(big.Float).SetInt64(i)
		}
		f := float64(i) + float64(random.IntN(8)-4)/4
		if random.IntN(8) == 0 {
			f *= 1e5
		}
		v, ok := floatValue(f)
		require.True(t, ok)
		return v, new(big.Float).SetFloat64(f)
	}
	for range 20_000 {
		a, bigA := pick()
		b, bigB := pick()
		require.Equal(t, bigA.Cmp(bigB), compare(a, b), "%s %s", bigA, bigB)
		require.Equal(t, bigA.Cmp(bigB) == 0, a == b, "%s %s", bigA, bigB)
	}
}

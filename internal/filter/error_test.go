package filter

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Invalid expressions, each with its caret and its text in testdata/errors.txt.
var wrong = []string{
	``, `   `, `price >`, `price > > 1`, `(price > 1`, `price > 1)`, `price > 1 price`, `price = 1`, `price === 1`,
	`price <> 1`, `price > 1 & vip`, `price > 1 | vip`, `price > 1 AND vip`, `price > 1 OR vip`, `NOT vip`, `vip NOT in [1]`,
	`region == 'eu`, `region == "eu`, `region == eu-west"`, `region == "\q"`, `price > 1 @`, `price > 1 /* one`,

	`price + 1`, `"eu"`, `42`, `nil`, `[1, 2]`, `-vip`, `price > 1 && "x"`, `price > 1 || 1`, `not 1`, `!"x"`,
	`1 + true > 0`, `price + "x" == 1`, `"a" + "b" == name`, `"a" > 3`, `true < false`, `vip < true`, `1 == "1"`, `true != 0`,
	`has(price) == 1`, `size == "5"`, `topic > 3`, `price contains 1`, `1 in "123"`, `"a" in "abc"`, `"a" in topic`,
	`1 in ["a", "b"]`, `not region in ["eu"]`, `not region contains "eu"`, `vip ? 1 : true`, `price > (vip ? "a" : true)`,
	`vip ? vip`, `vip ?: other`, `1 ? vip : other`, `nil == nil`, `1 == nil`, `has(price) != nil`, `price > nil`, `price in [nil]`,
	`price == null`, `price == undefined`, `vip == True`, `vip == FALSE`, `[1] == [1]`, `price in [[1]]`, `price in [1`,

	`len(items) > 1`, `any(items, .price > 1)`, `filter(items, # > 1) == 1`, `user.name.len() > 1`, `has() `, `has(a, b)`, `has(1)`,
	`has("price")`, `has(a + b)`, `has(topic)`, `has($env)`, `nosuch(1)`, `now() > 1`, `has(has(a))`, `user.has(a)`, `"a".has(a)`,
	`header()`, `header(region)`, `header("a", "b") == 1`, `header("a")`, `header("a") == nil`, `header("a") == true`, `has(header(a))`, `user.header("a")`,
	`items | len > 1`, `name matches "a.*"`, `name not matches "a"`, `price in 1..3`, `price ?? 1 > 1`, `user?.id == 1`,
	`items[0:1] == 1`, `items[:1] == 1`, `items[-1] == 1`, `items[i] == 1`, `items[1.5] == 1`, `items[true] == 1`, `user[nil] == 1`,
	`{"a": 1} == 1`, `let x = 1; x > 1`, `vip; vip`, `if vip { 1 } else { 2 }`, `2 ** 3 > 1`, `2 ^ 3 > price`, `+price > 1`,
	`b"eu" == region`, `::len(x)`, `#`, `(1).x == 1`, `"a".x == 1`, `$env == 1`, `$env[0] == 1`, `topic.x == 1`, `payload.price > 1`, `payload[0] == 1`, `size[0] == 1`,

	`price > 9223372036854775808`, `price > 1e400`, `price > 0x8000000000000000`, `price > 1e`, `price > 12ab`, `price > NaN`,
	`1 / 0 > price`, `9223372036854775807 + 1 > price`, `5 % 0 == price`, `5 % 1.5 == price`, `-9223372036854775807 - 2 < price`,

	"price > 1\x00", "price >\n1", "price >\t1", "price >\r1", "region == \"\xff\"", "größe > \u2028 1", "größe = 1", "\ufeffprice > 1",
}

func TestErrors(t *testing.T) {
	var got strings.Builder
	for _, expression := range wrong {
		p, err := Compile(expression, Limits{})
		if !assert.Error(t, err, "%s", expression) {
			continue
		}
		assert.Nil(t, p)
		var e *Error
		require.ErrorAs(t, err, &e)
		fmt.Fprintf(&got, "%s\n%s\n%s\n\n", shown(expression), e.Caret(), e.Text)
	}
	name := filepath.Join("testdata", "errors.txt")
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(got.String()), 0o600))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, string(want), got.String())
}

// shown replaces each character of an expression that would break the line by ?.
func shown(expression string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '\u2028' || r == '\ufeff' || r == '\uFFFD' {
			return '?'
		}
		return r
	}, expression)
}

func TestAnErrorIsOneLineWithItsColumn(t *testing.T) {
	_, err := Compile(`größe > "x" && größe = 1`, Limits{})
	assert.EqualError(t, err, "column 22: write == to compare")
}

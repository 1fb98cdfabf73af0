package filter

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// match compiles an expression and evaluates it for one message of the topic orders.eu.
func match(t testing.TB, expression, payload string) Verdict {
	t.Helper()
	p, err := Compile(expression, Limits{})
	require.NoError(t, err, expression)
	assert.Equal(t, expression, p.String())
	var m Message
	m.Reset([]byte("orders.eu"), []byte(payload), Limits{})
	return p.Match(&m)
}

// The semantics of predicates, row by row. docs/predicates.md has a shorter table: see docs_test.go.
func TestMatch(t *testing.T) {
	tests := []struct {
		expression, payload string
		verdict             Verdict
		why                 string
	}{
		{`price > 100`, `{"price": 101}`, Yes, "a field of a JSON object"},
		{`price > 100`, `{"price": 100}`, No, "and not more"},
		{`price > 100 && region == "eu"`, `{"price": 101, "region": "eu"}`, Yes, "both hold"},
		{`price > 100 and not (region == "us")`, `{"price": 101, "region": "eu"}`, Yes, "words are operators too"},
		{`user.id == 4711`, `{"user": {"id": 4711}}`, Yes, "a nested field"},
		{`items[1].price < 3`, `{"items": [{"price": 5}, {"price": 2}]}`, Yes, "an element of an array, from 0"},
		{`user["first-name"] == "Ann"`, `{"user": {"first-name": "Ann"}}`, Yes, "a name that is no word"},
		{`active`, `{"active": true}`, Yes, "a boolean is a condition"},
		{`active`, `{"active": 1}`, Unreadable, "and nothing else is"},

		{`price != 100`, `{"region": "eu"}`, Unreadable, "the field is missing"},
		{`price != 100`, `{"price": "abc"}`, Unreadable, "the field is of another type"},
		{`!(price == 100)`, `{}`, Unreadable, "a missing field is the end of the whole expression"},
		{`price > 100 || vip`, `{"price": 101}`, Yes, "what is not needed is not read"},
		{`price > 100 || vip`, `{"price": 99}`, Unreadable, "now it is"},
		{`vip || price > 100`, `{"price": 101}`, Unreadable, "read from left to right"},
		{`price > 100 && vip`, `{"price": 99}`, No, "not needed either"},
		{`has(price) && price > 100`, `{}`, No, "has asks whether a field is there"},
		{`has(user.id)`, `{"user": {"id": null}}`, Yes, "a null is there"},
		{`has(items[2])`, `{"items": [1, 2]}`, No, "the array ends before"},
		{`has(items[2])`, `hello`, No, "has never fails"},
		{`has(user.id.x)`, `{"user": {"id": 1}}`, No, "a number has no fields"},
		{`has(vip) ? vip : price > 100`, `{"price": 101}`, Yes, "the other branch is not read"},

		{`user == nil`, `{"user": null}`, Yes, "null is nil"},
		{`user != nil`, `{"user": {"id": 1}}`, Yes, "of any type"},
		{`user == nil`, `{}`, Unreadable, "what is missing is not null"},
		{`price == 1`, `{"price": null}`, Unreadable, "null is no number"},
		{`user == 1`, `{"user": {"id": 1}}`, Unreadable, "neither is an object"},

		{`id == 9007199254740993`, `{"id": 9007199254740993}`, Yes, "integers are exact"},
		{`id == 9007199254740993`, `{"id": 9007199254740992}`, No, "to the last digit"},
		{`price == 100`, `{"price": 100.0}`, Yes, "a whole number is an integer, however it is written"},
		{`price == 100`, `{"price": 1e2}`, Yes, "also so"},
		{`price == 0`, `{"price": -0}`, Yes, "zero has no sign"},
		{`price < 9007199254740993`, `{"price": 9007199254740992.0}`, Yes, "also between float and integer"},
		{`price == 0.1`, `{"price": 0.10}`, Yes, "fractions are float64"},
		{`price > 1`, `{"price": 9223372036854775808}`, Unreadable, "an integer beyond 64 bits"},
		{`price > 1`, `{"price": 1e400}`, Unreadable, "beyond float64"},
		{`has(price)`, `{"price": 1e400}`, Yes, "but it is there"},

		{`price * quantity >= 1000`, `{"price": 250, "quantity": 4}`, Yes, "numbers can be counted with"},
		{`a / b == 3`, `{"a": 6, "b": 2}`, Yes, "an integer if nothing remains"},
		{`a / b == 3.5`, `{"a": 7, "b": 2}`, Yes, "else a float"},
		{`a / b == 3`, `{"a": 7, "b": 0}`, Unreadable, "there is no such number"},
		{`a % b == -1`, `{"a": -7, "b": 2}`, Yes, "the sign of the left side"},
		{`a % 2 == 1`, `{"a": 1.5}`, Unreadable, "what remains is asked of integers"},
		{`a + 1 > a`, `{"a": 9223372036854775807}`, Unreadable, "beyond 64 bits"},
		{`-a < 0`, `{"a": 1}`, Yes, "the other sign"},
		{`1 < a < 3`, `{"a": 2}`, Yes, "1 < a && a < 3"},

		{`region in ["eu", "us"]`, `{"region": "us"}`, Yes, "one of these"},
		{`region not in ["eu", "us"]`, `{"region": "asia"}`, Yes, "none of these"},
		{`region not in ["eu", "us"]`, `{}`, Unreadable, "the field is missing"},
		{`code in [1, "one", true]`, `{"code": "one"}`, Yes, "elements may be of any type"},
		{`"vip" in tags`, `{"tags": [1, null, "vip"]}`, Yes, "a field that is an array"},
		{`"vip" in tags`, `{"tags": []}`, No, "it is not in there"},
		{`"vip" in tags`, `{"tags": "vip"}`, Unreadable, "a string is no array"},

		{`region startsWith "eu-"`, `{"region": "eu-west"}`, Yes, "the beginning of a string"},
		{`region endsWith "west"`, `{"region": "eu-west"}`, Yes, "its end"},
		{`region not contains "us"`, `{"region": "eu-west"}`, Yes, "any part"},
		{`region contains "1"`, `{"region": 1}`, Unreadable, "a number is no string"},
		{`"a" < name`, `{"name": "b"}`, Yes, "strings are in order byte by byte"},
		{`"Z" < name`, `{"name": "a"}`, Yes, "so capitals come first"},

		{`topic endsWith ".eu"`, `hello`, Yes, "every message has a topic, here orders.eu"},
		{`payload contains "ell"`, `hello`, Yes, "and a payload, as text"},
		{`size == 5`, `hello`, Yes, "and its size in bytes"},
		{`$env.size == 42`, `{"size": 42}`, Yes, "a field of that name"},
		{`$env["topic"] == "x"`, `{"topic": "x"}`, Yes, "and another"},

		{`price > 100`, `price=101`, Unreadable, "no JSON, no fields"},
		{`price > 100`, `[101]`, Unreadable, "JSON, and no object"},
		{`price > 100`, `{"price": 101`, Unreadable, "it does not end"},
		{`price > 100`, `{"price": 101} {}`, Unreadable, "one object, and nothing behind it"},
		{`price > 100`, "{\"price\": 101, \"x\": \"\xff\"}", Unreadable, "JSON is UTF-8"},
		{`price > 100`, `{"price": 101, "price": 1}`, Yes, "of two fields of one name the first counts"},
	}
	for _, test := range tests {
		t.Run(test.expression+" "+test.payload, func(t *testing.T) {
			assert.Equal(t, test.verdict.String(), match(t, test.expression, test.payload).String(), test.why)
		})
	}
}

func TestSplit(t *testing.T) {
	tests := []struct {
		name, topic, expression string
		ok                      bool
	}{
		{"orders WHERE price > 1", "orders", "price > 1", true},
		{"orders", "orders", "", false},
		{"orders where price > 1", "orders where price > 1", "", false},
		{"orders WHERE", "orders WHERE", "", false},
		{"orders WHERE ", "orders", "", true},
		{" WHERE price > 1", "", "price > 1", true},
		{`a WHERE b == " WHERE "`, "a", `b == " WHERE "`, true},
	}
	for _, test := range tests {
		topic, expression, ok := Split([]byte(test.name))
		assert.Equal(t, test.topic, string(topic), test.name)
		assert.Equal(t, test.expression, string(expression), test.name)
		assert.Equal(t, test.ok, ok, test.name)
	}
}

package stream

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const most = "18446744073709551615"

func TestParseID(t *testing.T) {
	zeros := strings.Repeat("0", maxIDLen-1)
	tests := []struct {
		text string
		want ID
		ok   bool
	}{
		{"5", ID{5, 9}, true},
		{"5-1", ID{5, 1}, true},
		{"0-0", ID{}, true},
		{most + "-" + most, MaxID, true},
		{"005-01", ID{5, 1}, true},
		{"+5- 1", ID{5, 1}, true}, // as strtoull
		{zeros + "7", ID{7, 9}, true},
		{zeros + "07", ID{}, false},
		{"18446744073709551616", ID{}, false},
		{"99999999999999999999-1", ID{}, false},
		{"", ID{}, false},
		{"-", ID{}, false},
		{"+", ID{}, false},
		{"-1", ID{}, false},
		{"5-", ID{}, false},
		{"5--1", ID{}, false},
		{"5-1-1", ID{}, false},
		{"5-*", ID{}, false},
		{"*", ID{}, false},
		{"5 ", ID{}, false},
		{"5-1a", ID{}, false},
		{"5-1\r\n", ID{}, false},
	}
	for _, test := range tests {
		id, err := ParseID([]byte(test.text), 9)
		if assert.Equal(t, test.ok, err == nil, test.text); test.ok {
			assert.Equal(t, test.want, id, test.text)
		} else {
			assert.Equal(t, ErrInvalidID, err)
		}
	}
}

func TestParseAddID(t *testing.T) {
	tests := []struct {
		text          string
		want          ID
		auto, autoSeq bool
		err           error
	}{
		{text: "*", auto: true},
		{text: "5-*", want: ID{5, 0}, autoSeq: true},
		{text: "5", want: ID{5, 0}},
		{text: "5-6", want: ID{5, 6}},
		{text: "*-5", err: ErrInvalidID},
		{text: "5-**", err: ErrInvalidID},
		{text: "-", err: ErrInvalidID},
	}
	for _, test := range tests {
		id, auto, autoSeq, err := ParseAddID([]byte(test.text))
		assert.Equal(t, test.err, err, test.text)
		if err == nil {
			assert.Equal(t, []any{test.want, test.auto, test.autoSeq}, []any{id, auto, autoSeq}, test.text)
		}
	}
}

func TestParseRange(t *testing.T) {
	tests := []struct {
		text       string
		start, end any // an id or an error
	}{
		{"-", MinID, MinID},
		{"+", MaxID, MaxID},
		{"5", ID{5, 0}, ID{5, math.MaxUint64}},
		{"5-3", ID{5, 3}, ID{5, 3}},
		{"(5-3", ID{5, 4}, ID{5, 2}},
		{"(5", ID{5, 1}, ID{5, math.MaxUint64 - 1}},
		{"(5-" + most, ID{6, 0}, ID{5, math.MaxUint64 - 1}},
		{"(5-0", ID{5, 1}, ID{4, math.MaxUint64}},
		{"(" + most + "-" + most, ErrRangeStart, ID{math.MaxUint64, math.MaxUint64 - 1}},
		{"(0-0", ID{0, 1}, ErrRangeEnd},
		{"(", ErrInvalidID, ErrInvalidID},
		{"(-", ErrInvalidID, ErrInvalidID},
		{"((5", ErrInvalidID, ErrInvalidID},
	}
	for _, test := range tests {
		check := func(want any, id ID, err error) {
			if err != nil {
				assert.Equal(t, want, err, test.text)
			} else {
				assert.Equal(t, want, id, test.text)
			}
		}
		id, err := ParseRangeStart([]byte(test.text))
		check(test.start, id, err)
		id, err = ParseRangeEnd([]byte(test.text))
		check(test.end, id, err)
	}
}

func TestNextAndPrev(t *testing.T) {
	for _, id := range []ID{{0, 1}, {5, 0}, {5, math.MaxUint64}, {math.MaxUint64, math.MaxUint64 - 1}} {
		next, ok := id.Next()
		require.True(t, ok)
		require.True(t, id.Less(next))
		require.Equal(t, 1, next.Compare(id))
		prev, _ := next.Prev()
		require.Equal(t, id, prev)
	}
	_, ok := MaxID.Next()
	assert.False(t, ok)
	_, ok = MinID.Prev()
	assert.False(t, ok)
}

// What is an id is printed as one that is the same.
func FuzzParseID(f *testing.F) {
	for _, text := range []string{"5-1", "0005-18446744073709551615", "18446744073709551616-1", "+1- 2", "-", "*", "5-*", "(5-3", strings.Repeat("9", 200), "1-\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseID([]byte(text), 3)
		if err != nil {
			return
		}
		again, err := ParseID([]byte(id.String()), 0)
		require.NoError(t, err)
		require.Equal(t, id, again)
	})
}

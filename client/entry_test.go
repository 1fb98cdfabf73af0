package client

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEntryIDs(t *testing.T) {
	const most = "18446744073709551615"
	for text, id := range map[string]EntryID{
		"0": {}, "0-0": {}, "1-2": {1, 2}, "1526919030474-55": {1526919030474, 55}, "7": {7, 0}, "007-01": {7, 1},
		most + "-" + most: {math.MaxUint64, math.MaxUint64},
	} {
		got, err := ParseEntryID(text)
		require.NoError(t, err)
		assert.Equal(t, id, got)
		again, err := ParseEntryID(got.String())
		require.NoError(t, err)
		assert.Equal(t, id, again)
	}
	for _, text := range []string{"", "-", "1-", "-1", "1-2-3", "+1-2", "1-+2", " 1-2", "1-*", "*", "$", "1_0", most + "0", "1-" + most + "0", "0x1"} {
		_, err := ParseEntryID(text)
		assert.ErrorIs(t, err, ErrInvalidOption, text)
	}
	ascending := []EntryID{{}, {0, 1}, {0, math.MaxUint64}, {1, 0}, {math.MaxUint64, 0}}
	for i, a := range ascending {
		for j, b := range ascending {
			assert.Equal(t, i < j, a.Compare(b) < 0)
			assert.Equal(t, i == j, a.Compare(b) == 0)
		}
	}
	assert.True(t, EntryID{}.IsZero())
	assert.Equal(t, time.UnixMilli(1526919030474), EntryID{1526919030474, 55}.Time())
	assert.Positive(t, EntryID{Ms: math.MaxUint64}.Time().Unix(), "an id beyond all times is in the future")
}

func TestGet(t *testing.T) {
	e := &Entry{Fields: []Field{{"a", "1"}, {"b", "2"}, {"a", "3"}}}
	assert.Equal(t, "1", e.Get("a"), "the first of two")
	assert.Equal(t, "2", e.Get("b"))
	assert.Empty(t, e.Get("c"))
}

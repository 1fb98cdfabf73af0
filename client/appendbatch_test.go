package client

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// All commands are there before the first reply: the fake answers none of them earlier.
func TestABatchOfAppendsWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"> XADD s MAXLEN ~ 9 * f 1\n> XADD r MAXLEN ~ 9 * f 2\n> XADD s MAXLEN ~ 9 * f 3\n"+
			"< $3|1-1\n< -WRONGTYPE no\n< $3|1-2\nhang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		got := c.AppendBatch(t.Context(), []Entry{
			{Stream: "s", Fields: []Field{{"f", "1"}}}, {Stream: "r", Fields: []Field{{"f", "2"}}}, {Stream: "s", Fields: nil},
			{Stream: "s", Fields: []Field{{"f", "3"}}},
		}, MaxLen(9))
		assert.Equal(t, Appended{ID: EntryID{1, 1}}, got[0])
		serverErr := (*Error)(nil)
		require.ErrorAs(t, got[1].Err, &serverErr)
		assert.Equal(t, CodeWrongType, serverErr.Code)
		require.ErrorIs(t, got[2].Err, ErrInvalidOption)
		assert.Equal(t, Appended{ID: EntryID{1, 2}}, got[3])
		require.NoError(t, c.Close())
	})
}

func TestABatchOfAppendsOverALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"> XADD s * f 1\n< $3|1-1\n> XADD s * f 2\n")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		got := c.AppendBatch(t.Context(), []Entry{{Stream: "s", Fields: []Field{{"f", "1"}}}, {Stream: "s", Fields: []Field{{"f", "2"}}}})
		require.NoError(t, got[0].Err)
		outcomeUnknown(t, got[1].Err)
		got = c.AppendBatch(t.Context(), []Entry{{Stream: "s", Fields: price}, {Stream: "s", Fields: price}})
		require.ErrorIs(t, got[0].Err, errRefused)
		require.ErrorIs(t, got[1].Err, errRefused)
		got = c.AppendBatch(t.Context(), []Entry{{Stream: "s", Fields: price}}, Idempotent("p", "k"))
		require.Error(t, got[0].Err)
		require.NoError(t, c.Close())
	})
}

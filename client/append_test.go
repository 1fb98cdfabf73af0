package client

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// xadd is the command that an append with the key k sends.
const xadd = "> XADD s IDMP p k * f v\n"

var price = []Field{{"price", "1"}}

func TestAppendOptions(t *testing.T) {
	tests := []struct {
		sentence string
		fields   []Field
		options  []AppendOption
		command  string
		wrong    string
	}{
		{"the server makes the id", price, nil, "XADD s * price 1", ""},
		{"names may repeat", []Field{{"a", "1"}, {"b", "2"}, {"a", ""}}, nil, "XADD s * a 1 b 2 a ", ""},
		{"an id of the caller", price, []AppendOption{WithID(EntryID{7, 8})}, "XADD s 7-8 price 1", ""},
		{"a bound", price, []AppendOption{MaxLen(1000)}, "XADD s MAXLEN ~ 1000 * price 1", ""},
		{"an empty stream", price, []AppendOption{MaxLen(0), {}}, "XADD s MAXLEN ~ 0 * price 1", ""},
		{"once", price, []AppendOption{Idempotent("p", "k"), MaxLen(9)}, "XADD s IDMP p k MAXLEN ~ 9 * price 1", ""},
		{"behind an entry", price, []AppendOption{IfLast(EntryID{7, 8}), Fence(5)}, "XADD s IF-LAST 7-8 FENCE 5 * price 1", ""},
		{"the first entry", price, []AppendOption{IfLast(EntryID{}), Fence(0)}, "XADD s IF-LAST 0-0 FENCE 0 * price 1", ""},
		{"a token below zero", price, []AppendOption{Fence(-1)}, "", "must not be negative"},
		{"no field", nil, nil, "", "an entry needs a field"},
		{"no producer", price, []AppendOption{Idempotent("", "k")}, "", "not empty"},
		{"no key", price, []AppendOption{Idempotent("p", "")}, "", "not empty"},
		{"once, with an id", price, []AppendOption{WithID(EntryID{1, 1}), Idempotent("p", "k")}, "", "exclude each other"},
		{"a bound below zero", price, []AppendOption{MaxLen(-1)}, "", "MaxLen must not be negative"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			a, err := newAddition("s", test.fields, test.options)
			if test.wrong != "" {
				require.ErrorIs(t, err, ErrInvalidOption)
				assert.ErrorContains(t, err, test.wrong)
				return
			}
			require.NoError(t, err)
			command, err := newReplyReader(strings.NewReader(string(a.appendTo(nil))), 1<<20).read()
			require.NoError(t, err)
			var words []string
			for _, element := range command.elements {
				words = append(words, string(element.bytes))
			}
			assert.Equal(t, test.command, strings.Join(words, " "))
		})
	}
}

// appendOnce appends with the key k.
func appendOnce(ctx context.Context, c *Client) (EntryID, error) {
	return c.Append(ctx, "s", []Field{{"f", "v"}}, Idempotent("p", "k"))
}

func TestAppendReplies(t *testing.T) {
	tests := []struct {
		sentence, reply string
		id              EntryID
		fails           func(t *testing.T, err error)
	}{
		{"an id", "$3|1-2", EntryID{1, 2}, nil},
		{"a refusal", "-WRONGTYPE no", EntryID{}, func(t *testing.T, err error) {
			serverErr := (*Error)(nil)
			require.ErrorAs(t, err, &serverErr)
			assert.Equal(t, CodeWrongType, serverErr.Code)
			assert.NotErrorIs(t, err, ErrOutcomeUnknown)
		}},
		{"a stream that has moved on", "-LASTID 5-1 is the last id, not 4-1", EntryID{}, func(t *testing.T, err error) {
			moved, serverErr := (*LastIDError)(nil), (*Error)(nil)
			require.ErrorAs(t, err, &moved)
			require.ErrorAs(t, err, &serverErr)
			assert.Equal(t, EntryID{5, 1}, moved.Last)
			assert.Equal(t, "LASTID 5-1 is the last id, not 4-1", err.Error())
			assert.NotErrorIs(t, err, ErrOutcomeUnknown)
		}},
		{"a fence", "-FENCED 7 is the token of the stream, 5 is below it", EntryID{}, func(t *testing.T, err error) {
			serverErr := (*Error)(nil)
			require.ErrorAs(t, err, &serverErr)
			assert.Equal(t, CodeFenced, serverErr.Code)
		}},
		{"what is no id", "$3|abc", EntryID{}, outcomeUnknown},
		{"what is no id either", ":1", EntryID{}, outcomeUnknown},
		{"null", "$-1", EntryID{}, outcomeUnknown},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, o := serve(t, resp3+"> XADD s * f v\n< "+test.reply+"\nhang")
				c, err := Dial(t.Context(), o)
				require.NoError(t, err)
				id, err := c.Append(t.Context(), "s", []Field{{"f", "v"}})
				if test.fails == nil {
					require.NoError(t, err)
				} else {
					test.fails(t, err)
				}
				assert.Equal(t, test.id, id)
				require.NoError(t, c.Close())
			})
		})
	}
}

func outcomeUnknown(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, ErrOutcomeUnknown)
}

// Appends and publishes share a connection, and each gets its own reply.
func TestAppendBesidePublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"> PUBLISH a 1\n< :5\n> XADD s * f v\n< $3|1-1\n> PUBLISH a 2\n< :6\nhang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		for _, receivers := range []int{5, 6} {
			published, err := c.Publish(t.Context(), "a", []byte{byte('1' + receivers - 5)})
			require.NoError(t, err)
			assert.Equal(t, receivers, published.Receivers)
			if receivers == 5 {
				id, err := c.Append(t.Context(), "s", []Field{{"f", "v"}})
				require.NoError(t, err)
				assert.Equal(t, EntryID{1, 1}, id)
			}
		}
		require.NoError(t, c.Close())
	})
}

// What breaks off is not sent again, unless it is idempotent.
func TestAppendBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"> XADD s * f v\n", resp3+"> XADD s * f v\n< $3|1-1\nhang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		_, err = c.Append(t.Context(), "s", []Field{{"f", "v"}})
		outcomeUnknown(t, err)
		id, err := c.Append(t.Context(), "s", []Field{{"f", "v"}})
		require.NoError(t, err)
		assert.Equal(t, EntryID{1, 1}, id)
		require.NoError(t, c.Close())
	})
}

func TestIdempotentAppendIsRepeated(t *testing.T) {
	tests := []struct {
		sentence string
		scripts  []string // one for each connection, behind the handshake
		id       EntryID
		fails    func(t *testing.T, err error)
		atMost   time.Duration
	}{
		{"at once", []string{xadd + "< $3|1-1\nhang"}, EntryID{1, 1}, nil, 0},
		{"after a break", []string{xadd, xadd + "< $3|1-1\nhang"}, EntryID{1, 1}, nil, time.Minute},
		{"after three", []string{xadd, xadd, xadd, xadd + "< $3|1-1\nhang"}, EntryID{1, 1}, nil, time.Minute},
		{"after half a reply", []string{xadd + "< $3|1-", xadd + "< $3|1-1\nhang"}, EntryID{1, 1}, nil, time.Minute},
		{"while the server loads", []string{xadd, xadd + "< -LOADING\n" + xadd + "< $3|1-1\nhang"}, EntryID{1, 1}, nil, time.Minute},
		{"refused at once", []string{xadd + "< -ERR no\nhang"}, EntryID{}, func(t *testing.T, err error) {
			assert.NotErrorIs(t, err, ErrOutcomeUnknown)
			assert.EqualError(t, err, "ERR no")
		}, 0},
		{"refused after a break", []string{xadd, xadd + "< -NOPERM no\nhang"}, EntryID{}, func(t *testing.T, err error) {
			outcomeUnknown(t, err)
			serverErr := (*Error)(nil)
			require.ErrorAs(t, err, &serverErr)
			assert.Equal(t, CodeNoPerm, serverErr.Code)
		}, time.Minute},
		{"for 90 seconds", []string{xadd}, EntryID{}, outcomeUnknown, repeatTime},
		{"for 90 seconds, on a silent server", []string{xadd + "hang"}, EntryID{}, outcomeUnknown, repeatTime},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var scripts []string
				for _, script := range test.scripts {
					scripts = append(scripts, resp3+script)
				}
				_, o := serve(t, scripts...)
				o.random = func(n int64) int64 { return n - 1 } // the longest pauses
				c, err := Dial(t.Context(), o)
				require.NoError(t, err)
				began := time.Now()
				id, err := appendOnce(t.Context(), c)
				if test.fails == nil {
					require.NoError(t, err)
				} else {
					require.Error(t, err)
					test.fails(t, err)
				}
				assert.Equal(t, test.id, id)
				assert.LessOrEqual(t, time.Since(began), test.atMost)
				require.NoError(t, c.Close())
			})
		})
	}
}

// The caller's ctx and Close end the repetition.
func TestEndOfRepetition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+xadd)
		o.random = func(n int64) int64 { return n - 1 }
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err = appendOnce(ctx, c)
		outcomeUnknown(t, err)
		assert.Equal(t, time.Second, time.Since(began))
		require.NoError(t, c.Close())
	})
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+xadd)
		o.random = func(n int64) int64 { return n - 1 }
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() {
			_, err := appendOnce(t.Context(), c)
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, c.Close())
		outcomeUnknown(t, <-done)
	})
}

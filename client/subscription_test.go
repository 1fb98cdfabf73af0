package client

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// describe formats an event for a table.
func describe(e Event) string {
	switch e := e.(type) {
	case *Message:
		return fmt.Sprintf("%s|%s|%s %s:%d<%d", e.Topic, e.Pattern, e.Payload, e.Epoch, e.Sequence, e.Previous)
	case *Missed:
		return fmt.Sprintf("missed %d of %s, %d to %d", e.Count, e.Name, e.After, e.Before)
	case *Disconnected:
		return "disconnected: " + e.Err.Error()
	case *Resumed:
		return fmt.Sprintf("resumed %s behind %d", e.Epoch, e.After)
	case *Reconnected:
		return fmt.Sprintf("reconnected %s %t, %d to %d", e.Epoch, e.SameEpoch, e.After, e.Before)
	case *NamesChanged:
		return fmt.Sprintf("names changed: %v added, %v removed", e.Added, e.Removed)
	case *Late:
		return fmt.Sprintf("late %d after %d", e.Message.Sequence, e.After)
	}
	return fmt.Sprintf("%T", e)
}

// subscribe dials a fake whose first connection, for publishing, stays idle, and subscribes.
func subscribe(t *testing.T, o Options, names ...Name) (*Subscription, error) {
	c, err := Dial(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c.Subscribe(t.Context(), names...)
}

// events reads n events.
func events(t *testing.T, s *Subscription, n int) []string {
	t.Helper()
	all := []string{}
	for range n {
		e, err := s.Next(t.Context())
		require.NoError(t, err)
		all = append(all, describe(e))
	}
	return all
}

func TestEvents(t *testing.T) {
	const publishing = resp3 + "hang"
	tests := []struct {
		sentence  string
		names     []Name
		sequences bool
		scripts   []string
		want      []string
	}{
		{
			sentence: "messages in RESP3",
			names:    []Name{Topic("a"), Pattern("b*"), Topic("a")},
			scripts: []string{resp3 + `
				> SUBSCRIBE a
				< >3|+subscribe|+a|:1
				> PSUBSCRIBE b*
				< >3|+psubscribe|+b*|:2
				< >3|+message|+a|$2|hi
				< +PONG
				< >2|+something|+new
				< >4|+pmessage|+b*|+bc|$0|
				hang`},
			want: []string{"a||hi :0<0", "bc|b*| :0<0"},
		},
		{
			sentence: "messages in RESP2, where they are arrays",
			names:    []Name{Topic("a")},
			scripts: []string{resp2 + `
				> SUBSCRIBE a
				< *3|$9|subscribe|$1|a|:1
				< *2|$4|pong|$0|
				< *3|$7|message|$1|a|$2|hi
				hang`},
			want: []string{"a||hi :0<0"},
		},
		{
			sentence: "a message may come before the last confirmation",
			names:    []Name{Topic("a"), Topic("b")},
			scripts: []string{resp3 + `
				> SUBSCRIBE a b
				< >3|+subscribe|+a|:1
				< >3|+message|+a|+early
				< >3|+subscribe|+b|:2
				hang`},
			want: []string{"a||early :0<0"},
		},
		{
			sentence: "a predicate is part of a pattern, and requires conch",
			names:    []Name{Topic("a*[b]").Where("price > 1")},
			scripts: []string{withSeq("ee", "5") + `
				> PSUBSCRIBE a\*\[b] WHERE price > 1
				< >3|+psubscribe|+a\*\[b] WHERE price > 1|:1
				> HELLO
				< %2|+epoch|+ee|+sequence|:6
				< >6|+pmessage|+a\*\[b] WHERE price > 1|+a*[b]|+{}|:7|:0
				hang`},
			want: []string{`a*[b]|a\*\[b] WHERE price > 1|{} ee:7<0`},
		},
		{
			sentence:  "a loss is reported once, by the server or by the sequence",
			sequences: true,
			names:     []Name{Topic("a"), Pattern("b*")},
			scripts: []string{withSeq("ee", "5") + `
				> SUBSCRIBE a
				< >3|+subscribe|+a|:1
				> PSUBSCRIBE b*
				< >3|+psubscribe|+b*|:2
				> HELLO
				< %2|+epoch|+ee|+sequence|:5
				< >5|+message|+a|+1|:6|:0
				< >5|+message|+a|+2|:8|:6
				< >6|+pmessage|+b*|+bb|+1|:9|:0
				< >5|+message|+a|+3|:12|:10
				< >3|+missed|+b*|:3
				< >6|+pmessage|+b*|+bb|+2|:20|:15
				< >6|+pmessage|+b*|+bb|+3|:22|:21
				hang`},
			want: []string{
				"a||1 ee:6<0", "a||2 ee:8<6", "bb|b*|1 ee:9<0",
				"missed 0 of a, 8 to 12", "a||3 ee:12<10",
				"missed 3 of b*, 9 to 0", "bb|b*|2 ee:20<15",
				"missed 0 of b*, 20 to 22", "bb|b*|3 ee:22<21",
			},
		},
		{
			sentence:  "a reconnect, with the range that may have been missed",
			sequences: true,
			names:     []Name{Topic("a")},
			scripts: []string{
				withSeq("ee", "5") + `
					> SUBSCRIBE a
					< >3|+subscribe|+a|:1
					> HELLO
					< %2|+epoch|+ee|+sequence|:5
					< >5|+message|+a|+1|:8|:0`,
				withSeq("ee", "20") + `
					> SUBSCRIBE a
					< >3|+subscribe|+a|:1|>5|+message|+a|+2|:22|:0
					> HELLO
					< %2|+epoch|+ee|+sequence|:23
					< >3|+closing|+killed|+go away`,
				withSeq("ff", "2") + `
					> SUBSCRIBE a
					< >3|+subscribe|+a|:1
					> HELLO
					< %2|+epoch|+ff|+sequence|:2
					< -ERR enough`,
				resp3 + `
					> CLIENT CAPA seq
					< -ERR unknown
					> HELLO
					< %0
					> SUBSCRIBE a
					< >3|+subscribe|+a|:1
					< >3|+message|+a|+3
					hang`,
			},
			want: []string{
				"a||1 ee:8<0",
				"disconnected: the server closed the connection: EOF", "reconnected ee true, 8 to 23",
				"a||2 ee:22<0",
				"disconnected: closed by the server: killed: go away", "reconnected ff false, 23 to 2",
				"disconnected: closed by the server: ERR enough", "reconnected  false, 2 to 0",
				"a||3 :0<0",
			},
		},
		{
			sentence:  "a Reconnected does not repeat the range of the last one",
			sequences: true,
			names:     []Name{Topic("a")},
			scripts: []string{
				withSeq("ee", "5") + `
					> SUBSCRIBE a
					< >3|+subscribe|+a|:1
					> HELLO
					< %2|+epoch|+ee|+sequence|:7`,
				withSeq("ee", "7") + `
					> SUBSCRIBE a
					< >3|+subscribe|+a|:1
					> HELLO
					< %2|+epoch|+ee|+sequence|:9`,
				withSeq("ee", "9") + `
					> SUBSCRIBE a
					< >3|+subscribe|+a|:1
					> HELLO
					< %2|+epoch|+ee|+sequence|:9
					hang`,
			},
			want: []string{
				"disconnected: the server closed the connection: EOF", "reconnected ee true, 7 to 9",
				"disconnected: the server closed the connection: EOF", "reconnected ee true, 9 to 9",
			},
		},
		{
			sentence: "attempts that fail are repeated, and what came in them is gone",
			names:    []Name{Topic("a"), Topic("b")},
			scripts: []string{
				resp3 + "> SUBSCRIBE a b\n< >3|+subscribe|+a|:1|>3|+subscribe|+b|:2",
				"> HELLO 3\n< -ERR max number of clients reached",
				"> HELLO 3\n< -LOADING",
				resp3 + "> SUBSCRIBE a b\n< >3|+subscribe|+a|:1|>3|+message|+a|+gone",
				resp3 + "> SUBSCRIBE a b\n< >3|+subscribe|+a|:1|>3|+subscribe|+b|:2|>3|+message|+a|+here\nhang",
			},
			want: []string{"disconnected: the server closed the connection: EOF", "reconnected  false, 0 to 0", "a||here :0<0"},
		},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			first := publishing
			if test.sequences {
				first = withSeq("ee", "0") + "hang"
			}
			_, o := serve(t, append([]string{first}, test.scripts...)...)
			o.Sequences = test.sequences
			s, err := subscribe(t, o, test.names...)
			require.NoError(t, err)
			assert.Equal(t, test.want, events(t, s, len(test.want)))
			require.NoError(t, s.Close())
			_, err = s.Next(t.Context())
			assert.Equal(t, ErrClosed, err)
		})
	}
}

// Invalid replies end the connection, and are the cause of Disconnected.
func TestHostileServer(t *testing.T) {
	tests := []struct{ says, want string }{
		{">3|+message|+b|+hi", `a message for "b", which is not subscribed`},
		{">3|+message|_|_", `a message for "", which is not subscribed`},
		{">2|+message|+a", "a message of 2 elements"},
		{">4|+message|+a|+hi|:1", "a message of 4 elements"},
		{">1|+pmessage", "a message of 1 elements"},
		{">2|+missed|+a", "a push missed of 2 elements"},
		{">3|+missed|+a|+b", "a push missed of 3 elements"},
		{">5|+message|+a|+hi|:-1|:0", "a message with sequence ':' -1 and previous ':' 0"},
		{">5|+message|+a|+hi|:1|+0", "a message with sequence ':' 1 and previous '+' 0"},
		{">3|+missed|+a|:-3", "a push missed of 3 elements"},
		{"+OK", `unexpected reply '+' on a subscription`},
		{":1", `unexpected reply ':' on a subscription`},
		{">0", `unexpected reply '>' on a subscription`},
		{">3|+unsubscribe|+a|:0", "an unsubscribe that was not requested"},
		{"$-7", `"-7" is not a length`},
	}
	for _, test := range tests {
		_, o := serve(t, resp3+"hang", resp3+"> SUBSCRIBE a\n< >3|+subscribe|+a|:1|"+test.says)
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		e, err := s.Next(t.Context())
		require.NoError(t, err)
		require.IsType(t, &Disconnected{}, e)
		assert.ErrorIs(t, e.(*Disconnected).Err, ErrMalformed)
		assert.ErrorContains(t, e.(*Disconnected).Err, test.want)
		require.NoError(t, s.Close())
	}
}

func TestSubscribeFails(t *testing.T) {
	tests := []struct {
		sentence, script string
		names            []Name
		is               error
		want             string
	}{
		{sentence: "no name", is: ErrInvalidOption, want: "nothing to subscribe to"},
		{
			sentence: "no predicate", names: []Name{Topic("a").Where(" ")}, is: ErrInvalidOption,
			want: `the predicate of "a" is empty`,
		},
		{
			sentence: "two predicates", names: []Name{Topic("a").Where("b").Where("c")}, is: ErrInvalidOption,
			want: `"a WHERE b" has a predicate already`,
		},
		{
			sentence: "a predicate in a pattern", names: []Name{Topic("a"), Pattern("a WHERE b > 1")}, is: ErrInvalidOption,
			want: `the pattern "a WHERE b > 1" has WHERE in it; use Where`,
		},
		{
			sentence: "a user without permission", names: []Name{Topic("a")},
			script: resp3 + "> SUBSCRIBE a\n< -NOPERM no", want: "cannot subscribe: NOPERM no",
		},
		{
			sentence: "a predicate that is wrong", names: []Name{Topic("a").Where("(")},
			script: withSeq("ee", "0") + "> PSUBSCRIBE a WHERE (\n< -ERR column 1: what?", want: "cannot subscribe: ERR column 1: what?",
		},
		{
			sentence: "a predicate for Redis", names: []Name{Topic("a").Where("b > 1")}, is: ErrNoPredicates,
			script: resp3 + "> CLIENT CAPA seq\n< -ERR unknown\n> HELLO\n< %0",
		},
		{sentence: "the end in between", names: []Name{Topic("a")}, script: resp3 + "> SUBSCRIBE a", is: io.EOF},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			_, o := serve(t, resp3+"hang", test.script)
			_, err := subscribe(t, o, test.names...)
			require.Error(t, err)
			if test.is != nil {
				assert.ErrorIs(t, err, test.is)
			}
			assert.ErrorContains(t, err, test.want)
		})
	}
}

// A subscription that is refused after a reconnect does not retry.
func TestRefusedWhenReconnecting(t *testing.T) {
	for _, again := range []string{
		"> HELLO 3\n< -WRONGPASS no", "> HELLO 3\n< -NOAUTH no", resp3 + "> SUBSCRIBE a\n< -NOPERM no",
		resp3 + "> SUBSCRIBE a\n< -ERR too many",
	} {
		_, o := serve(t, resp3+"hang", resp3+"> SUBSCRIBE a\n< >3|+subscribe|+a|:1", again)
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		events(t, s, 1)
		for range 2 {
			_, err = s.Next(t.Context())
			assert.ErrorAs(t, err, new(*Error))
		}
		require.NoError(t, s.Close())
	}
}

// Redis answers this while it runs a script or loads its data.
func TestBusyWhenReconnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const confirmed = resp3 + "> SUBSCRIBE a\n< >3|+subscribe|+a|:1\n"
		_, o := serve(t, resp3+"hang", confirmed, resp3+"> SUBSCRIBE a\n< -BUSY it runs a script", "> HELLO 3\n< -LOADING",
			confirmed+"hang")
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		events(t, s, 2) // disconnected and reconnected
		require.NoError(t, s.Close())
	})
}

// The pauses double up to the maximum, and start again after a connection that lasted.
func TestBackoff(t *testing.T) {
	const once = resp3 + "> SUBSCRIBE a\n< >3|+subscribe|+a|:1\n"
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3+"hang", once)
		var pauses []time.Duration
		o.random = func(n int64) int64 { return n - 1 }
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		last := time.Now()
		f.mu.Lock()
		f.dialed = func() {
			pauses = append(pauses, time.Since(last))
			last = time.Now()
			switch len(pauses) {
			case 9: // accepted and dropped at once: the pauses do not start again
				f.scripts = []string{once}
			case 10: // accepted and kept for a minute
				f.scripts = []string{once + "gate"}
			}
		}
		f.mu.Unlock()
		const ms = time.Millisecond
		events(t, s, 1+1+1+1)
		time.Sleep(time.Minute) //nolint:forbidigo // the clock is the bubble's
		f.mu.Lock()
		last = time.Now()
		f.mu.Unlock()
		f.openGate()
		events(t, s, 1)
		time.Sleep(time.Second) //nolint:forbidigo // the clock is the bubble's
		require.NoError(t, s.client.Close())
		assert.Equal(t, []time.Duration{
			100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10000 * ms, 10000 * ms,
			10000 * ms, 100 * ms, 200 * ms, 400 * ms,
		}, pauses)
	})
}

func TestBackoffBounds(t *testing.T) {
	o, err := Options{MinBackoff: time.Hour, MaxBackoff: 1000 * time.Hour}.withDefaults()
	require.NoError(t, err)
	var most int64
	o.random = func(n int64) int64 { most = n; return 0 }
	for attempt, want := range map[int]time.Duration{0: 1, 1: 2, 9: 512, 10: 1000, 30: 1000, 64: 1000, 1 << 40: 1000} {
		assert.Zero(t, o.backoff(attempt))
		assert.Equal(t, int64(want*time.Hour)+1, most, "attempt %d", attempt)
	}
}

// A dead connection is detected.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const confirmed = resp3 + "> SUBSCRIBE a\n< >3|+subscribe|+a|:1\n"
		_, o := serve(t, resp3+"> PING\n< +PONG\nhang", confirmed+"> PING\n< +PONG\n> PING\nhang", confirmed+"hang")
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		begin := time.Now()
		assert.Equal(t, []string{"disconnected: the connection is lost: no answer to PING"}, events(t, s, 1))
		assert.Equal(t, 90*time.Second, time.Since(begin))
		events(t, s, 1)
		synctest.Wait()
		// The connection for publishing is lost too. The next publish cannot replace it here.
		_, err = s.client.Publish(t.Context(), "a", nil)
		assert.ErrorIs(t, err, errRefused)
	})
}

// A refused PING proves a live server. A further error reply, to no command, ends the connection.
func TestSubscriptionPingRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const confirmed = resp3 + "> SUBSCRIBE a\n< >3|+subscribe|+a|:1\n"
		const refused = "> PING\n< -NOPERM no ping\n"
		_, o := serve(t, resp3+"hang", confirmed+refused+refused+"< >3|+message|+a|+hi\n< -ERR enough\nhang", confirmed+"hang")
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		assert.Equal(t, []string{"a||hi :0<0", "disconnected: closed by the server: ERR enough"}, events(t, s, 2))
		events(t, s, 1) // reconnected
	})
}

// Without PINGs, silence never ends a connection.
func TestQuietForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"hang", resp3+"> SUBSCRIBE a\n< >3|+subscribe|+a|:1\nhang")
		o.PingAfter = -1
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Hour)
		defer cancel()
		_, err = s.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, s.Close())
	})
}

// A subscriber that does not read blocks the server, and can be closed all the same.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := resp3 + "> SUBSCRIBE a\n< >3|+subscribe|+a|:1\n"
		for i := range 100 {
			script += fmt.Sprintf("< >3|+message|+a|$40000|%040000d\n", i)
		}
		f, o := serve(t, resp3+"hang", script+"gate")
		o.Buffer = 4
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		synctest.Wait()
		assert.Len(t, s.events, 4)
		for i := range 50 {
			e, err := s.Next(t.Context())
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprintf("%040000d", i), string(e.(*Message).Payload))
		}
		synctest.Wait()
		require.NoError(t, s.Close())
		left := 0
		for e, err := range s.All(t.Context()) {
			if err != nil {
				assert.Equal(t, ErrClosed, err)
				assert.Nil(t, e)
				break
			}
			left++
		}
		assert.Equal(t, 4, left, "what had been received can still be read")
		f.openGate()
	})
}

// Messages passes over losses and reconnects, and a second loop continues behind the first.
func TestMessages(t *testing.T) {
	confirmed := func(rest string) string { return resp3 + "> SUBSCRIBE a\n< >3|+subscribe|+a|:1\n" + rest }
	_, o := serve(t, resp3+"hang", confirmed("< >3|+message|+a|+1|>3|+missed|+a|:2|>3|+message|+a|+2"),
		confirmed("< >3|+message|+a|+3\n< >3|+message|+a|+4"))
	s, err := subscribe(t, o, Topic("a"))
	require.NoError(t, err)
	read := func(n int) (payloads []string) {
		for m, err := range s.Messages(t.Context()) {
			require.NoError(t, err)
			if payloads = append(payloads, string(m.Payload)); len(payloads) == n {
				break
			}
		}
		return payloads
	}
	assert.Equal(t, []string{"1"}, read(1))
	assert.Equal(t, []string{"2", "3", "4"}, read(3))
	require.NoError(t, s.Close())
	for m, err := range s.Messages(t.Context()) {
		assert.Nil(t, m)
		assert.ErrorIs(t, err, ErrClosed)
	}
}

func TestContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"hang", resp3+"> SUBSCRIBE a\nhang")
		begin := time.Now()
		_, err := subscribe(t, o, Topic("a"))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, 10*time.Second, time.Since(begin), "as long as dialing may take")
	})
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"hang", resp3+"> SUBSCRIBE a\n< >3|+subscribe|+a|:1\nhang", resp3+"> SUBSCRIBE a\nhang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s, err := c.Subscribe(ctx, Topic("a"))
		require.NoError(t, err)
		_, err = s.Next(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = c.Subscribe(ctx, Topic("a"))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Subscribe(ctx, Topic("a"))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		go func() { assert.NoError(t, c.Close()) }()
		_, err = s.Next(t.Context())
		assert.Equal(t, ErrClosed, err)
		_, err = c.Subscribe(t.Context(), Topic("a"))
		assert.ErrorIs(t, err, ErrClosed)
		_, err = c.Publish(t.Context(), "a", nil)
		assert.ErrorIs(t, err, ErrClosed)
	})
}

func TestCloseWhileSubscribing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"hang", resp3+"> SUBSCRIBE a\nhang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		failed := make(chan error)
		go func() {
			_, err := c.Subscribe(t.Context(), Topic("a"))
			failed <- err
		}()
		synctest.Wait()
		require.NoError(t, c.Close())
		assert.ErrorIs(t, <-failed, ErrClosed)
		require.NoError(t, c.Close())
	})
}

// Close returns when nothing is left, from any goroutine; the Dialer here ignores its ctx.
func TestCloseFromSeveralGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3+"hang", resp3+"> SUBSCRIBE a\n< >3|+subscribe|+a|:1")
		s, err := subscribe(t, o, Topic("a"))
		require.NoError(t, err)
		f.mu.Lock()
		f.dialed = func() { <-f.gate }
		f.mu.Unlock()
		events(t, s, 1)
		synctest.Wait()
		closed := make(chan error, 3)
		for range cap(closed) {
			go func() { closed <- s.client.Close() }()
		}
		synctest.Wait()
		assert.Empty(t, closed, "a goroutine is left")
		f.openGate()
		for range cap(closed) {
			require.NoError(t, <-closed)
		}
	})
}

package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dialed returns a client of a fake.
func dialed(t *testing.T, scripts ...string) *Client {
	_, o := serve(t, scripts...)
	o.Sequences = strings.Contains(scripts[0], "CAPA")
	c, err := Dial(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestAcknowledgement(t *testing.T) {
	tests := []struct {
		sentence, reply string
		want            Published
		err             string
		is              error
	}{
		{sentence: "receivers", reply: ":3", want: Published{Receivers: 3}},
		{sentence: "receivers and sequence", reply: "*2|:3|:12", want: Published{3, 12}},
		{sentence: "unknown pushes are skipped", reply: ">2|+a|+b|:1", want: Published{Receivers: 1}},
		{sentence: "a refusal", reply: "-NOPERM no", err: "NOPERM no"},
		{sentence: "unexpected reply", reply: "*1|:3", err: "malformed reply: unexpected reply '*' to PUBLISH", is: ErrOutcomeUnknown},
		{sentence: "negative receivers", reply: "*2|:-1|:3", err: "published to -1 receivers, sequence 3", is: ErrOutcomeUnknown},
		{sentence: "no RESP", reply: "hello", err: "malformed reply", is: ErrOutcomeUnknown},
		{sentence: "a close notice", reply: ">3|+closing|+slow-hard|+too slow", err: "closed by the server: slow-hard: too slow", is: ErrOutcomeUnknown},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			c := dialed(t, resp3+"> PUBLISH a hi\n< "+test.reply)
			got, err := c.Publish(t.Context(), "a", []byte("hi"))
			assert.Equal(t, test.want, got)
			if test.err == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.err)
			if test.is != nil {
				assert.ErrorIs(t, err, test.is)
			} else {
				assert.NotErrorIs(t, err, ErrOutcomeUnknown, "it was not published")
			}
		})
	}
}

func TestUnsolicitedReplies(t *testing.T) {
	for says, want := range map[string]string{
		":1": "a reply to no command", "-ERR enough": "closed by the server: ERR enough",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialed(t, resp3+"< "+says+"\nhang", resp3+"> PUBLISH a\n< :0\nhang")
			synctest.Wait()
			require.True(t, c.pipe.unusable())
			assert.ErrorContains(t, c.pipe.cause, want)
		})
	}
}

// A publish in flight when the connection breaks is never sent again. The next one makes a new connection.
func TestPublishOverANewConnection(t *testing.T) {
	c := dialed(t, withSeq("ee", "0")+"> PUBLISH a 1\n< *2|:0|:1\n> PUBLISH a 2", resp3+`
		> CLIENT CAPA seq
		< -ERR unknown
		> HELLO
		< %0
		> PUBLISH a 3
		< :0`)
	assert.True(t, c.HasSequences())
	got, err := c.Publish(t.Context(), "a", []byte("1"))
	assert.NoError(t, err)
	assert.Equal(t, Published{0, 1}, got)
	_, err = c.Publish(t.Context(), "a", []byte("2"))
	assert.ErrorIs(t, err, ErrOutcomeUnknown)
	_, err = c.Publish(t.Context(), "a", []byte("3"))
	assert.NoError(t, err)
	assert.False(t, c.HasSequences())
}

// All callers that find the connection broken wait for the same new one.
func TestOneDialServesAllCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		f, o := serve(t, resp3+"> PUBLISH a 0")
		f.dialed = func() { dials++ }
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		_, err = c.Publish(t.Context(), "a", []byte("0"))
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		f.add("gate\n" + resp3 + strings.Repeat("> PUBLISH a hi\n< :0\n", 20))
		var tasks sync.WaitGroup
		for i := range 20 {
			tasks.Go(func() {
				_, err := c.Publish(t.Context(), "a", []byte("hi"))
				assert.NoError(t, err, i)
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err = c.Publish(ctx, "a", []byte("gives up"))
		cancel()
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, ErrOutcomeUnknown)
		f.openGate()
		tasks.Wait()
		assert.Equal(t, 2, dials)
		require.NoError(t, c.Close())
		_, err = c.Publish(t.Context(), "a", nil)
		assert.Equal(t, ErrClosed, err)
	})
}

// A server that acknowledges nothing blocks publishers, and each returns what is known of its message.
func TestStalledServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3+"gate")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		big := make([]byte, batchBytes)
		unknown, unsent := 0, 0
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := c.Publish(ctx, "a", big)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			if strings.Contains(err.Error(), ErrOutcomeUnknown.Error()) {
				unknown++
			} else {
				unsent++
			}
		}
		assert.Equal(t, 1, unknown, "the one that is being written")
		assert.Equal(t, 4, unsent)
		begin := time.Now()
		_, err = c.Publish(t.Context(), "a", big)
		assert.ErrorIs(t, err, ErrPingTimeout)
		assert.NotErrorIs(t, err, ErrOutcomeUnknown)
		assert.Equal(t, 55*time.Second, time.Since(begin), "twice PingAfter since the server was heard last")
		f.openGate()
		require.NoError(t, c.Close())
	})
}

// Close ends queued publishes as well.
func TestCloseWithManyPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"hang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		var tasks sync.WaitGroup
		var unknown atomic.Int64
		for range maxInFlight + 10 {
			tasks.Go(func() {
				_, err := c.Publish(t.Context(), "a", nil)
				assert.ErrorIs(t, err, ErrClosed)
				if errors.Is(err, ErrOutcomeUnknown) {
					unknown.Add(1)
				}
			})
		}
		synctest.Wait()
		require.NoError(t, c.Close())
		tasks.Wait()
		assert.EqualValues(t, maxInFlight, unknown.Load(), "the others have not been sent")
	})
}

// A loop of publishes to a server that is down does not dial in a loop.
func TestDialIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3)
		o.random = func(n int64) int64 { return n - 1 }
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		dials := 0
		f.mu.Lock()
		f.dialed = func() { dials++ }
		f.mu.Unlock()
		time.Sleep(time.Minute) //nolint:forbidigo // the clock is the bubble's
		begin := time.Now()
		for range 11 {
			_, err := c.Publish(t.Context(), "a", nil)
			require.ErrorIs(t, err, errRefused)
		}
		assert.Equal(t, 11, dials)
		assert.Equal(t, 10*100*time.Millisecond, time.Since(begin), "the first one is at once")
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err = c.Publish(ctx, "a", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, c.Close())
	})
}

func TestCloseWhileDialing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3, "hang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		synctest.Wait() // it has closed
		f.mu.Lock()
		f.dialed = func() { <-f.gate }
		f.mu.Unlock()
		failed := make(chan error)
		go func() {
			_, err := c.Publish(t.Context(), "a", nil)
			failed <- err
		}()
		synctest.Wait()
		go func() { failed <- c.Close() }()
		synctest.Wait()
		f.openGate()
		assert.ElementsMatch(t, []error{ErrClosed, nil}, []error{<-failed, <-failed})
	})
}

func TestPublishWhenTheContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialed(t, resp3+"hang")
		for range 20 {
			synctest.Wait() // the writer would take it
			_, err := c.Publish(canceled(), "a", []byte("hi"))
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, ErrOutcomeUnknown)
		}
	})
}

// More publishes can be in flight than a server answers in between.
func TestManyPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 3 * maxInFlight
		script := resp3
		for range maxInFlight {
			script += "> PUBLISH a hi\n"
		}
		script += "< :0" + strings.Repeat("|:0", maxInFlight-1) + "\n"
		for range many - maxInFlight {
			script += "> PUBLISH a hi\n< :1\n"
		}
		c := dialed(t, script+"hang")
		var tasks sync.WaitGroup
		for range many {
			tasks.Go(func() {
				_, err := c.Publish(t.Context(), "a", []byte("hi"))
				assert.NoError(t, err)
			})
		}
		tasks.Wait()
	})
}

func TestNames(t *testing.T) {
	for name, want := range map[Name]string{
		Topic("a*"):                             "a*",
		Pattern("a*"):                           "a*",
		Topic(`a*?[x]\`).Where("b > 1"):         `a\*\?\[x]\\ WHERE b > 1`,
		Pattern("a*").Where(" b > 1"):           "a* WHERE  b > 1",
		Topic("a WHERE b").Where("c WHERE d"):   `a \WHERE b WHERE c WHERE d`,
		Pattern(`a \WHERE b`):                   `a \WHERE b`,
		Pattern(`a \WHERE b`).Where("c == 'd'"): `a \WHERE b WHERE c == 'd'`,
		Topic("a WHERE WHERE b").Where("c"):     `a \WHERE \WHERE b WHERE c`,
		Topic("a WHERE").Where("c"):             `a \WHERE WHERE c`,
		Pattern("a* WHERE").Where("c"):          `a* \WHERE WHERE c`,
	} {
		assert.Equal(t, want, name.String())
		assert.NoError(t, name.err)
	}
}

// conch would parse it as a predicate, or as part of one.
func TestPatternWithWhere(t *testing.T) {
	for _, name := range []Name{Pattern("a WHERE b > 1"), Pattern("a WHERE b > 1").Where("c")} {
		_, _, err := checkNames([]Name{name})
		assert.EqualError(t, err, `invalid option: the pattern "a WHERE b > 1" has WHERE in it; use Where for a predicate, or write \WHERE for those letters`)
		assert.ErrorIs(t, err, ErrInvalidOption)
	}
}

func TestManyNamesAreSentInSeveralCommands(t *testing.T) {
	var all []Name
	for i := range 100 {
		all = append(all, Topic(fmt.Sprintf("%01000d", i)), Pattern(strings.Repeat("p", 20_000)+fmt.Sprint(i%2)))
	}
	rest, _, err := checkNames(all)
	require.NoError(t, err)
	topics, patterns, pieces := 0, 0, 0
	for len(rest) > 0 {
		var command []byte
		var taken []Name
		command, taken, rest = nextCommand(true, rest)
		assert.LessOrEqual(t, len(command), 2*maxCommandBytes)
		if strings.Contains(string(command[:30]), "PSUBSCRIBE") {
			patterns += len(taken)
		} else {
			topics += len(taken)
		}
		pieces++
	}
	assert.Equal(t, []int{100, 2, 7 + 2}, []int{topics, patterns, pieces})
}

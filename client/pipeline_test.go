package client

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// begin publishes in a goroutine and returns the channel of the result. It returns when the goroutine blocks; the test
// runs in a bubble.
func begin(ctx context.Context, c *Client, payload string) <-chan result {
	done := make(chan result, 1)
	go func() {
		published, err := c.Publish(ctx, "a", []byte(payload))
		done <- result{published: published, err: err}
	}()
	synctest.Wait()
	return done
}

// A user may lack the right to PING, and Redis refuses it while it cannot save. The refusal proves a live server, and
// belongs to no message.
func TestRefusedPing(t *testing.T) {
	const refused = "< -MISCONF cannot save\n"
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"> PING\n"+refused+"> PING\n> PUBLISH a 1\n> PUBLISH a 2\n"+refused+"< :5|-NOPERM no\nhang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		time.Sleep(61 * time.Second) //nolint:forbidigo // the bubble's: two PINGs, of which one is answered
		first, second := begin(t.Context(), c, "1"), begin(t.Context(), c, "2")
		assert.Equal(t, result{published: Published{Receivers: 5}}, <-first)
		assert.Equal(t, &Error{Code: "NOPERM", Text: "no"}, (<-second).err)
		require.NoError(t, c.Close())
	})
}

// An unexpected reply to PING ends the connection: it may belong to a message.
func TestWrongAnswerToPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"> PING\n> PUBLISH a 1\n< :5\nhang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		time.Sleep(31 * time.Second) //nolint:forbidigo // the bubble's
		got := <-begin(t.Context(), c, "1")
		assert.ErrorIs(t, got.err, ErrOutcomeUnknown)
		assert.ErrorIs(t, got.err, ErrMalformed)
		require.NoError(t, c.Close())
	})
}

// An error reply to no command is not taken for the refusal of a message in flight.
func TestCloseByServerIsNoRefusal(t *testing.T) {
	near, far := net.Pipe()
	t.Cleanup(func() { _ = far.Close() })
	p := newPipeline(&conn{Conn: near, replies: newReplyReader(near, 1<<10)})
	cause := p.handleReply(&reply{kind: kindError, bytes: []byte("ERR enough")})
	sent, queued := &pendingCall{topic: "a", result: make(chan result, 1)}, &pendingCall{topic: "a", result: make(chan result, 1)}
	require.NoError(t, p.enqueue(sent))
	p.nextBatch(nil)
	require.NoError(t, p.enqueue(queued))
	p.fail(cause)
	p.failAll()
	var answer *Error
	lost := (<-sent.result).err
	assert.ErrorIs(t, lost, ErrOutcomeUnknown)
	assert.NotErrorAs(t, lost, &answer)
	unsent := (<-queued.result).err
	assert.ErrorIs(t, unsent, ErrClosedByServer)
	assert.NotErrorIs(t, unsent, ErrOutcomeUnknown)
	assert.NotErrorAs(t, unsent, &answer)
}

// A publish canceled in the queue is not sent, and its neighbors are.
func TestCancelBeforeSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3+"gate\n> PUBLISH a 1\n< :1\n> PUBLISH a 2\n< :2\n> PUBLISH a 4\n< :4\nhang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		first := begin(t.Context(), c, "1")
		second, third, fourth := begin(t.Context(), c, "2"), begin(ctx, c, "3"), begin(t.Context(), c, "4")
		cancel()
		got := <-third
		assert.ErrorIs(t, got.err, context.Canceled)
		assert.NotErrorIs(t, got.err, ErrOutcomeUnknown)
		f.openGate()
		assert.Equal(t, result{published: Published{Receivers: 1}}, <-first)
		assert.Equal(t, result{published: Published{Receivers: 2}}, <-second)
		assert.Equal(t, result{published: Published{Receivers: 4}}, <-fourth)
		require.NoError(t, c.Close())
	})
}

// A publish canceled after it was sent has an unknown outcome, and its reply goes to no other call.
func TestCancelAfterSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3+"> PUBLISH a 1\n> PUBLISH a 2\ngate\n< :1|:2\n> PUBLISH a 3\n< :3\nhang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := begin(ctx, c, "1"), begin(t.Context(), c, "2")
		cancel()
		got := <-first
		assert.ErrorIs(t, got.err, context.Canceled)
		assert.ErrorIs(t, got.err, ErrOutcomeUnknown)
		third := begin(t.Context(), c, "3")
		f.openGate()
		assert.Equal(t, result{published: Published{Receivers: 2}}, <-second)
		assert.Equal(t, result{published: Published{Receivers: 3}}, <-third)
		require.NoError(t, c.Close())
	})
}

// When the connection breaks, sent messages have an unknown outcome, and queued ones were not published.
func TestBreakWithAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3+"> PUBLISH a 1\ngate")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		sent, cut, queued := begin(t.Context(), c, "1"), begin(t.Context(), c, "2"), begin(t.Context(), c, "3")
		f.openGate()
		assert.ErrorIs(t, (<-sent).err, ErrOutcomeUnknown)
		assert.ErrorIs(t, (<-cut).err, ErrOutcomeUnknown, "it was being written")
		got := <-queued
		assert.Error(t, got.err)
		assert.NotErrorIs(t, got.err, ErrOutcomeUnknown)
		require.NoError(t, c.Close())
	})
}

// Whenever calls are canceled, all acknowledged messages were published, and no unsent one was.
func TestCancelAtAnyTime(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := connect(t, Options{Addr: s.Addr})
	sub := listenTo(t, c, Topic("a"))
	const publishers, each = 16, 200
	fates := make([]error, publishers*each)
	var tasks sync.WaitGroup
	for p := range publishers {
		tasks.Go(func() {
			for i := range each {
				ctx, cancel := context.WithCancel(t.Context())
				if i%4 > 0 {
					tasks.Go(cancel)
				}
				payload := strconv.Itoa(p*each + i)
				_, fates[p*each+i] = c.Publish(ctx, "a", []byte(payload))
				cancel()
			}
		})
	}
	tasks.Wait()
	mustPublish(t, c, "a", "end")
	received := make(map[string]bool)
	for e, err := range sub.All(t.Context()) {
		require.NoError(t, err)
		payload := string(e.(*Message).Payload)
		if payload == "end" {
			break
		}
		require.False(t, received[payload], "%s was published twice", payload)
		received[payload] = true
	}
	for i, err := range fates {
		if !errors.Is(err, ErrOutcomeUnknown) {
			require.Equal(t, err == nil, received[strconv.Itoa(i)], "%d: %v", i, err)
		}
	}
}

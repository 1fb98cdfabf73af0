package client

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/conchtest"
	"github.com/conchmq/conch/server"
)

// begin publishes, until ctx ends, and returns where its result comes. What could be done has been done when it returns;
// the test runs in a bubble.
func begin(ctx context.Context, c *Client, payload string) <-chan result {
	done := make(chan result, 1)
	go func() {
		published, err := c.Publish(ctx, "a", []byte(payload))
		done <- result{published, err}
	}()
	synctest.Wait()
	return done
}

// Who gives up while the message waits to be sent takes it back: it is not sent, and those around it are.
func TestGivingUpBeforeSending(t *testing.T) {
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
		assert.NotErrorIs(t, got.err, ErrFateUnknown)
		f.goOn()
		assert.Equal(t, result{published: Published{Receivers: 1}}, <-first)
		assert.Equal(t, result{published: Published{Receivers: 2}}, <-second)
		assert.Equal(t, result{published: Published{Receivers: 4}}, <-fourth)
		require.NoError(t, c.Close())
	})
}

// Who gives up behind that does not know, and the answer goes to nobody else.
func TestGivingUpBehindSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3+"> PUBLISH a 1\n> PUBLISH a 2\ngate\n< :1|:2\n> PUBLISH a 3\n< :3\nhang")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := begin(ctx, c, "1"), begin(t.Context(), c, "2")
		cancel()
		got := <-first
		assert.ErrorIs(t, got.err, context.Canceled)
		assert.ErrorIs(t, got.err, ErrFateUnknown)
		third := begin(t.Context(), c, "3")
		f.goOn()
		assert.Equal(t, result{published: Published{Receivers: 2}}, <-second)
		assert.Equal(t, result{published: Published{Receivers: 3}}, <-third)
		require.NoError(t, c.Close())
	})
}

// When the connection breaks, what was sent has an unknown fate, and what was not has none.
func TestBreakWithAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3+"> PUBLISH a 1\ngate")
		c, err := Dial(t.Context(), o)
		require.NoError(t, err)
		sent, cut, queued := begin(t.Context(), c, "1"), begin(t.Context(), c, "2"), begin(t.Context(), c, "3")
		f.goOn()
		assert.ErrorIs(t, (<-sent).err, ErrFateUnknown)
		assert.ErrorIs(t, (<-cut).err, ErrFateUnknown, "it was being written")
		got := <-queued
		assert.Error(t, got.err)
		assert.NotErrorIs(t, got.err, ErrFateUnknown)
		require.NoError(t, c.Close())
	})
}

// Whenever somebody gives up, the server has published what it acknowledged and nothing of what was not sent.
func TestGivingUpAtAnyTime(t *testing.T) {
	s := conchtest.Start(t, server.Options{})
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
		if !errors.Is(err, ErrFateUnknown) {
			require.Equal(t, err == nil, received[strconv.Itoa(i)], "%d: %v", i, err)
		}
	}
}

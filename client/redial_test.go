package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reconnecting returns a publisher of a fake, with pauses of one second.
func reconnecting(t *testing.T, o Options, po PublisherOptions) *Publisher {
	t.Helper()
	o.MinBackoff, o.MaxBackoff = time.Second, time.Second
	o.random = func(n int64) int64 { return n - 1 }
	po.Reconnect = true
	p, err := NewPublisher(t.Context(), o, po)
	require.NoError(t, err)
	return p
}

func mustSend(t *testing.T, p *Publisher, payload string, options ...PublishOption) MessageID {
	t.Helper()
	id, err := p.Publish(t.Context(), "a", []byte(payload), options...)
	require.NoError(t, err)
	return id
}

// One account goes on over two connections, of different epochs too.
func TestPublisherReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, withSeq("e", "7")+`
			> PUBLISH a 1
			< *2|:3|:8
			> PUBLISH a 2
			< -NOPERM no
			> PUBLISH a 3
			`, withSeq("f", "0")+`
			> PUBLISH a 4
			< *2|:1|:1
			hang`)
		o.Sequences = true
		p := reconnecting(t, o, PublisherOptions{Window: 4})
		ids := []MessageID{mustSend(t, p, "1"), mustSend(t, p, "2"), mustSend(t, p, "3")}
		require.ErrorIs(t, p.Flush(t.Context()), ErrOutcomeUnknown)
		ids = append(ids, mustSend(t, p, "4")) // waits for the second connection
		require.ErrorIs(t, p.Flush(t.Context()), ErrOutcomeUnknown, "3 is not returned yet")
		for range 2 {
			published, err := p.Wait(t.Context(), ids[0])
			require.NoError(t, err)
			assert.Equal(t, Published{3, 8}, published)
			_, err = p.Wait(t.Context(), ids[1])
			assert.ErrorAs(t, err, new(*Error))
			_, err = p.Wait(t.Context(), ids[2])
			assert.ErrorIs(t, err, ErrOutcomeUnknown)
			published, err = p.Wait(t.Context(), ids[3])
			require.NoError(t, err)
			assert.Equal(t, Published{1, 1}, published)
			p.Unacked()
		}
		require.NoError(t, p.Flush(t.Context()))
		require.Error(t, p.Err())
		require.NoError(t, p.Close())
		_, err := p.Publish(t.Context(), "a", nil)
		assert.Equal(t, ErrClosed, err)
	})
}

func TestUnackedOfAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"> PUBLISH a 1\n< -NOPERM no\n> PUBLISH a 2\n", resp3+"> PUBLISH a 3\n", resp3+"hang")
		p := reconnecting(t, o, PublisherOptions{})
		for i := range 3 {
			mustSend(t, p, fmt.Sprint(i+1))
			synctest.Wait()
		}
		<-time.After(3 * time.Second)
		var all []string
		for _, u := range p.Unacked() {
			all = append(all, string(u.Payload))
		}
		assert.Equal(t, []string{"1", "2", "3"}, all)
		assert.Empty(t, p.Unacked())
		require.NoError(t, p.Close())
	})
}

// Publish waits while no connection is up: until its context ends, the publisher is closed, or the server refuses.
func TestPublishWithoutAConnection(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(t *testing.T, f *fake, p *Publisher, cancel func())
		want error
	}{
		"context": {func(_ *testing.T, _ *fake, _ *Publisher, cancel func()) { cancel() }, context.Canceled},
		"close":   {func(t *testing.T, _ *fake, p *Publisher, _ func()) { assert.NoError(t, p.Close()) }, ErrClosed},
		"refusal": {func(_ *testing.T, f *fake, _ *Publisher, _ func()) {
			f.add("> HELLO 3\n< -NOAUTH who are you\n")
		}, errStopped},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, o := serve(t, resp3, resp3)
				p := reconnecting(t, o, PublisherOptions{Connections: 2})
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				published := make(chan error)
				for _, options := range [][]PublishOption{nil, keyed("x")} {
					go func() {
						_, err := p.Publish(ctx, "a", nil, options...)
						published <- err
					}()
				}
				synctest.Wait()
				test.end(t, f, p, cancel)
				for range 2 {
					err := <-published
					if errors.Is(test.want, errStopped) {
						require.ErrorAs(t, err, new(*Error))
						assert.Equal(t, p.stopErr(), err)
						assert.ErrorIs(t, err, p.Err())
					} else {
						assert.Equal(t, test.want, err)
					}
				}
				require.NoError(t, p.Close())
			})
		})
	}
}

// errStopped stands for the refusal of a server.
var errStopped = errors.New("stopped")

// A key waits for its connection, so that its messages keep their order; other messages use one that is up.
func TestAKeyWaitsForItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := serve(t, resp3+"gate", resp3+"hang")
		p := reconnecting(t, o, PublisherOptions{Connections: 2})
		f.openGate()
		synctest.Wait()
		broken := 0
		if p.conns[1].closed {
			broken = 1
		}
		keys := map[int]string{}
		for i := 0; len(keys) < 2; i++ {
			at := p.pickConn(fmt.Sprint(i), true)
			keys[at] = fmt.Sprint(i)
		}
		begin := time.Now()
		for range 4 {
			assert.Equal(t, 1-broken, mustSend(t, p, "").connection())
			assert.Equal(t, 1-broken, mustSend(t, p, "", OrderedBy(keys[1-broken])).connection())
		}
		assert.Equal(t, begin, time.Now())
		f.add(resp3 + "hang")
		assert.Equal(t, broken, mustSend(t, p, "", OrderedBy(keys[broken])).connection())
		assert.Equal(t, begin.Add(time.Second), time.Now())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, p.Flush(ctx), context.DeadlineExceeded)
		assert.ErrorIs(t, p.Close(), ErrOutcomeUnknown)
	})
}

// Losses that nobody takes stop the publisher for a while, and the ids of the oldest expire.
func TestLossesAreBounded(t *testing.T) {
	w := newAckWindow(0, 4, 1<<10)
	add := func(n int) {
		for range n {
			w.append(&Record{Topic: "a"}, w.count)
		}
	}
	loseAll := func() {
		w.finish(errors.New("gone"))
		w.resume(0)
	}
	add(3)
	loseAll()
	require.NoError(t, w.backlogErr())
	add(1)
	loseAll()
	require.ErrorIs(t, w.backlogErr(), ErrBacklog)
	require.ErrorIs(t, w.backlogErr(), ErrOutcomeUnknown)
	require.Len(t, w.take(), 4)
	require.NoError(t, w.backlogErr())
	require.Zero(t, w.unreturned)
	for range maxLosses - 1 {
		add(1)
		loseAll()
		w.take()
	}
	for count, want := range []error{nil, ErrExpired, ErrExpired, ErrExpired, ErrOutcomeUnknown} {
		if count > 0 {
			_, err := w.result(uint64(count))
			assert.ErrorIs(t, err, want, count)
		}
	}
	_, err := w.result(w.count)
	assert.ErrorIs(t, err, ErrOutcomeUnknown)
}

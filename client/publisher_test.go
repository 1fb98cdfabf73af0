package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// Several goroutines publish over several connections, each with a key of its own.
func TestOrder(t *testing.T) {
	tests := []struct {
		sentence    string
		connections int
		keys        []string
	}{
		{"one connection keeps the order", 1, []string{""}},
		{"a key keeps it over several", 8, []string{"a", "b", "c"}},
		{"several alone keep that of each", 8, []string{""}},
	}
	s := harness.Start(t, server.Options{})
	for i, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			topic := fmt.Sprintf("order-%d", i)
			l := listen(t, s)
			l.begin(topic)
			p, err := NewPublisher(t.Context(), Options{Addr: s.Addr}, PublisherOptions{Connections: test.connections, Window: 64})
			require.NoError(t, err)
			published := make([][]sent, 4)
			var tasks sync.WaitGroup
			for g := range published {
				tasks.Go(func() {
					for n := range 50 {
						for _, key := range test.keys {
							more, err := publishAll(t.Context(), p, topic, fmt.Sprintf("%d-%s-%d", g, key, n), 5, key)
							assert.NoError(t, err)
							published[g] = append(published[g], more...)
						}
					}
				})
			}
			tasks.Wait()
			require.NoError(t, p.Flush(t.Context()))
			received := l.end(topic)
			require.NoError(t, p.Close())
			acked, unacked := tally(t, p, topic, published...)
			assert.Empty(t, unacked)
			assert.Len(t, acked, 4*50*len(test.keys)*5)
			assert.Len(t, received, len(acked))
			for _, messages := range published {
				keepsOrder(t, messages, acked, received)
				if test.connections == 1 {
					one := map[string]bool{}
					for i := range messages {
						messages[i].key = "all"
						one[messages[i].payload] = true
					}
					keepsOrder(t, messages, one, received)
				}
			}
		})
	}
}

func TestConnectionsTakeTurns(t *testing.T) {
	s := harness.Start(t, server.Options{})
	p, err := NewPublisher(t.Context(), Options{Addr: s.Addr}, PublisherOptions{Connections: maxConnections})
	require.NoError(t, err)
	messages, err := publishAll(t.Context(), p, "t", "m", 3*maxConnections, "")
	require.NoError(t, err)
	turns := make(map[int]int)
	for _, m := range messages {
		turns[m.id.connection()]++
	}
	assert.Len(t, turns, maxConnections)
	for connection, n := range turns {
		assert.Equal(t, 3, n, "connection %d", connection)
	}
	require.NoError(t, p.Close())
}

func TestReceiversAreCounted(t *testing.T) {
	s := harness.Start(t, server.Options{})
	listen(t, s).begin("t")
	p, err := NewPublisher(t.Context(), Options{Addr: s.Addr}, PublisherOptions{})
	require.NoError(t, err)
	for topic, receivers := range map[string]int{"t": 1, "nobody": 0} {
		id, err := p.Publish(t.Context(), topic, []byte("hi"))
		require.NoError(t, err)
		ack, err := p.Wait(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, Published{Receivers: receivers}, ack)
	}
	require.NoError(t, p.Close())
}

func TestPublisherSequences(t *testing.T) {
	s := harness.Start(t, server.Options{})
	p, err := NewPublisher(t.Context(), Options{Addr: s.Addr, Sequences: true}, PublisherOptions{Connections: 4, Window: 50})
	require.NoError(t, err)
	messages, err := publishAll(t.Context(), p, "t", "m", 400, "")
	require.NoError(t, err)
	seen, last := make(map[uint64]bool), make(map[int]uint64)
	for _, m := range messages {
		published, err := p.Wait(t.Context(), m.id)
		require.NoError(t, err)
		assert.False(t, seen[published.Sequence])
		assert.Greater(t, published.Sequence, last[m.id.connection()])
		seen[published.Sequence], last[m.id.connection()] = true, published.Sequence
	}
	assert.Len(t, seen, 400)
	assert.True(t, seen[1] && seen[400])
	more, err := publishAll(t.Context(), p, "t", "n", 400, "")
	require.NoError(t, err)
	require.NoError(t, p.Flush(t.Context()))
	for i, m := range append(messages, more...) {
		published, err := p.Wait(t.Context(), m.id)
		require.NoError(t, err)
		if i < 400 { // details of the last 100 per connection are kept
			assert.Equal(t, Published{Receivers: -1}, published)
		} else {
			assert.NotZero(t, published.Sequence)
		}
	}
	require.NoError(t, p.Close())
}

func TestPublisherAgainstRedis(t *testing.T) {
	o, err := ParseURL(redis(t)) // sequences are requested, and Redis has none
	require.NoError(t, err)
	p, err := NewPublisher(t.Context(), o, PublisherOptions{Connections: 3, Window: 10})
	require.NoError(t, err)
	messages, err := publishAll(t.Context(), p, "t", "m", 100, "")
	require.NoError(t, err)
	batch, err := batchAll(t.Context(), p, "t", "n", 100, "key")
	require.NoError(t, err)
	require.NoError(t, p.Flush(t.Context()))
	published, err := p.Wait(t.Context(), batch[99].id)
	require.NoError(t, err)
	assert.Equal(t, Published{}, published)
	require.NoError(t, p.Close())
	acked, _ := tally(t, p, "t", messages, batch)
	assert.Len(t, acked, 200)
}

func TestNoPublisher(t *testing.T) {
	s := harness.Start(t, server.Options{})
	ended, end := context.WithCancel(t.Context())
	end()
	tests := []struct {
		sentence string
		ctx      context.Context
		o        Options
		po       PublisherOptions
		err      error
	}{
		{"too many connections", t.Context(), Options{}, PublisherOptions{Connections: 65}, ErrInvalidOption},
		{"too few", t.Context(), Options{}, PublisherOptions{Connections: -1}, ErrInvalidOption},
		{"no window", t.Context(), Options{}, PublisherOptions{Window: -1}, ErrInvalidOption},
		{"no bytes", t.Context(), Options{}, PublisherOptions{WindowBytes: -1}, ErrInvalidOption},
		{"no grace", t.Context(), Options{}, PublisherOptions{Grace: -1}, ErrInvalidOption},
		{"no address", t.Context(), Options{Addr: "?"}, PublisherOptions{}, ErrInvalidOption},
		{"a context that has ended", ended, Options{Addr: s.Addr}, PublisherOptions{Connections: 3}, context.Canceled},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			_, err := NewPublisher(test.ctx, test.o, test.po)
			require.ErrorIs(t, err, test.err)
		})
	}
	t.Run("the connections that there are already are closed", func(t *testing.T) {
		_, o := serve(t, "> HELLO 3\n< -ERR no", resp3+"hang", resp3+"hang") // hang ends when the client closes
		_, err := NewPublisher(t.Context(), o, PublisherOptions{Connections: 3})
		require.ErrorContains(t, err, "ERR no")
	})
	t.Run("nothing is published with a context that has ended", func(t *testing.T) {
		p, err := NewPublisher(t.Context(), Options{Addr: s.Addr}, PublisherOptions{})
		require.NoError(t, err)
		_, err = p.Publish(ended, "t", nil)
		require.ErrorIs(t, err, context.Canceled)
		ids, err := p.PublishBatch(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, ids)
		require.NoError(t, p.Close())
	})
}

// The limit for a server that acknowledges nothing follows from PingAfter.
func TestServerStalls(t *testing.T) {
	for _, test := range []struct {
		pingAfter, want time.Duration // 0: no limit
	}{{0, time.Minute}, {time.Second, 2 * time.Second}, {-1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			_, o := serve(t, resp3+"hang")
			o.PingAfter = test.pingAfter
			p, err := NewPublisher(t.Context(), o, PublisherOptions{})
			require.NoError(t, err)
			begin := time.Now()
			id, err := p.Publish(t.Context(), "t", nil)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err = p.Wait(ctx, id)
			if test.want == 0 {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NoError(t, p.Err())
			} else {
				require.ErrorIs(t, err, ErrAckTimeout)
				require.Equal(t, test.want, time.Since(begin))
			}
			require.ErrorIs(t, p.Close(), ErrOutcomeUnknown)
		})
	}
}

// The error of the publisher has the reason that a closing server gave.
func TestServerCloses(t *testing.T) {
	s := harness.Start(t, server.Options{})
	p, err := NewPublisher(t.Context(), Options{Addr: s.Addr}, PublisherOptions{Connections: 4})
	require.NoError(t, err)
	before, err := publishAll(t.Context(), p, "t", "m", 100, "")
	require.NoError(t, err)
	require.NoError(t, p.Flush(t.Context()))
	s.Shutdown(t.Context())
	published := before
	harness.Eventually(t, func() bool {
		more, err := publishAll(t.Context(), p, "t", fmt.Sprint(len(published)), 1, "")
		published = append(published, more...)
		return err != nil
	}, "the publisher did not notice")
	_ = p.Close() // tally checks the outcome
	acked, _ := tally(t, p, "t", published)
	assert.Len(t, acked, len(before))
}

// Publishing allocates nothing, neither in the publisher nor in the reader of its connection.
func TestPublishAllocatesNothing(t *testing.T) {
	const size = 100
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	near, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	end, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	var server sync.WaitGroup
	server.Go(func() { acknowledge(end, len(appendPublish(nil, "topic", make([]byte, size)))) })
	p := startPublisher([]*conn{{Conn: near, replies: newReplyReader(near, 1<<10)}}, Options{PingAfter: 30 * time.Second}, PublisherOptions{
		Window: 256, WindowBytes: 1 << 20, Grace: harness.Patience,
	})
	ctx, payload := context.Background(), make([]byte, size)
	publish := func() {
		for range 100 { // so that one allocation in many messages counts
			id, err := p.Publish(ctx, "topic", payload, OrderedBy("key"))
			if err != nil || id == 0 {
				t.Fatal(err)
			}
		}
	}
	for range 100 {
		publish()
	}
	allocs := testing.AllocsPerRun(1000, publish)
	require.NoError(t, p.Close())
	server.Wait()
	assert.Zero(t, allocs, "in 100 messages")
}

// acknowledge reads messages of one length and acknowledges them with 0 receivers.
func acknowledge(sock net.Conn, length int) {
	in, out := make([]byte, 64<<10), make([]byte, 0, 64<<10)
	for waiting := 0; ; {
		n, err := sock.Read(in)
		if err != nil {
			_ = sock.Close() // the publisher has closed
			return
		}
		out = out[:0]
		for waiting += n; waiting >= length; waiting -= length {
			out = append(out, ":0\r\n"...)
		}
		if _, err := sock.Write(out); err != nil && err != io.EOF { //nolint:errorlint // never wrapped
			_ = sock.Close()
			return
		}
	}
}

func TestPublisherURL(t *testing.T) {
	s := harness.Start(t, server.Options{RequirePassword: "secret"})
	p, err := NewPublisherURL(t.Context(), "conch://:secret@"+s.Addr+"?sequences=true", PublisherOptions{})
	require.NoError(t, err)
	id, err := p.Publish(t.Context(), "a", nil)
	require.NoError(t, err)
	published, err := p.Wait(t.Context(), id)
	require.NoError(t, err)
	assert.Equal(t, uint64(1), published.Sequence)
	require.NoError(t, p.Close())
	_, err = NewPublisherURL(t.Context(), "http://"+s.Addr, PublisherOptions{})
	assert.ErrorIs(t, err, ErrInvalidOption)
}

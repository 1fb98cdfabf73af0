package client

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// startDurable starts a server with durable topics.
func startDurable(t *testing.T, globs string) *harness.Server {
	t.Helper()
	s := harness.Start(t, server.Options{})
	admin := s.Dial(t)
	admin.Command("CONFIG", "SET", "durable", globs)
	admin.Expect("+OK\r\n")
	return s
}

// payloads reads messages, and returns their payloads.
func payloads(t *testing.T, s *Subscription, n int) (all []string) {
	t.Helper()
	for range n {
		all = append(all, string(mustNext(t, s).(*Message).Payload))
	}
	return all
}

// A subscription from a group goes on where the group stands, over broken connections too: nothing comes twice, and the position in the
// server moves on. It ends when another one takes over.
func TestAGroupGoesOnOverConnections(t *testing.T) {
	orders := Topic("orders")
	for name, listen := range map[string]func(c *Client) *Subscription{
		"subscribed": func(c *Client) *Subscription { return listenTo(t, c, orders.From("GROUP billing")) },
		"added": func(c *Client) *Subscription {
			sub := listenTo(t, c, Topic("other"))
			require.NoError(t, sub.Add(t.Context(), orders.From("GROUP billing")))
			assert.IsType(t, &NamesChanged{}, mustNext(t, sub))
			return sub
		},
		"a pattern with a predicate": func(c *Client) *Subscription {
			return listenTo(t, c, Pattern("o*").Where("size < 10").From("GROUP billing"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startDurable(t, "o*")
			direct := connect(t, Options{Addr: s.Addr, Sequences: true})
			sub, gate := listenGated(t, s, listen)
			for i, payload := range []string{"1", "3", "5"} {
				mustPublish(t, direct, "orders", payload)
				assert.Equal(t, []string{payload}, payloads(t, sub, 1))
				gate.Store(false)
				killSubscribers(t, s)
				assert.IsType(t, &Disconnected{}, mustNext(t, sub))
				mustPublish(t, direct, "orders", payload+"+1")
				gate.Store(true)
				r := mustNext(t, sub).(*Reconnected)
				assert.Equal(t, []any{true, uint64(2*i + 2)}, []any{r.SameEpoch, r.Before})
				assert.LessOrEqual(t, r.After, uint64(2*i+1), "what may be missing")
				assert.Equal(t, []string{payload + "+1"}, payloads(t, sub, 1))
			}
			require.NoError(t, sub.Close())
			harness.Eventually(t, func() bool { return mustPublish(t, direct, "orders", "7") == 0 }, "the server knows of the end")
			next, _ := listenGated(t, s, listen)
			got := payloads(t, next, 1)
			assert.Equal(t, []string{"7"}, got, "the position has moved")
			third, _ := listenGated(t, s, listen)
			for {
				e, err := next.Next(t.Context())
				if err != nil {
					require.ErrorIs(t, err, ErrTakenOver)
					break
				}
				_, back := e.(*Reconnected)
				require.False(t, back, "it must not take the position back")
			}
			require.NoError(t, third.Close())
		})
	}
}

package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a subscription was offered last is computed from words of its name and of its predicate: the core touches no predicate for
// a No. The oracle keeps every message.
func TestTheLastNumbersOfSubscriptions(t *testing.T) {
	random := rand.New(rand.NewPCG(seedFor(t), 3))
	spec(t, "agree with a list of all messages", func(t *testing.T, c *core) {
		publisher, seen := c.client(), map[*Subscription]*LastNumbers{}
		clients, topics := []*client{c.client(), c.client(), c.client()}, []string{"a", "b", "ab"}
		number, checked := uint64(0), 0
		for range 3000 {
			ann := clients[random.IntN(len(clients))]
			q := []Request{subscribe(topics[random.IntN(3)]), psubscribe("*b")}[random.IntN(2)]
			if p := someConditions[random.IntN(4)]; random.IntN(3) > 0 {
				q = where(p, q)
			}
			switch random.IntN(8) {
			case 0:
				c.do(ann, q)
			case 1:
				c.do(ann, wide(unsubscribe(topics[random.IntN(3)])))
			case 2:
				c.do(ann, punsubscribe())
			default:
				topic, payload := topics[random.IntN(3)], fmt.Sprint(random.IntN(4))
				number++
				for s, last := range seen {
					if s.state == joined && (s.Topic() == topic || s.Kind() == Pattern && plainMatch(s.Topic(), topic)) {
						last.note(s, number, topic, payload)
					}
				}
				c.do(publisher, publish(topic, payload))
			}
			for _, ann := range clients {
				for s := range ann.sub.Subscriptions() {
					if seen[s] == nil {
						seen[s] = &LastNumbers{}
					}
					require.Equal(t, *seen[s], s.Last(), "%s at message %d", s.Name(), number)
					checked += int(s.Stats().Filtered)
				}
			}
		}
		assert.NotZero(t, checked, "no predicate has rejected anything")
	})
	spec(t, "are those of the last message of a run", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe("a")), c.client()
		bob.sub.ID = 7
		c.do(bob, publish("a", "1", "2", "3"), publish("b", "4"))
		for s := range ann.sub.Subscriptions() {
			assert.Equal(t, LastNumbers{Published: 3, Matched: 3}, s.Last())
		}
		sequence, by := View{c.Broker}.LastPublish(Topic, []byte("a"))
		assert.Equal(t, []any{uint64(3), int64(7)}, []any{sequence, by})
		sequence, _ = View{c.Broker}.LastPublish(Topic, []byte("b"))
		assert.Zero(t, sequence, "the core keeps nothing of a name without subscriptions")
	})
}

// note is what becomes of a message that reaches the name of a subscription.
func (n *LastNumbers) note(s *Subscription, number uint64, topic, payload string) {
	n.Published = number
	if _, p := conditionOf(s.Name()); p == nil || p.says([]byte(topic), []byte(payload)) == Yes {
		n.Matched = number
	} else {
		n.Filtered = number
	}
}

func TestTheSubscriptionsOfOneSubscriberThatMatch(t *testing.T) {
	spec(t, "are those of all that belong to it, in any form and with any predicate", func(t *testing.T, c *core) {
		names := func(s *client, k Kind) (names []string) {
			for sub := range (View{c.Broker}).MatchingOf(s.sub, k, []byte("ab")) {
				names = append(names, label(sub.Kind(), sub.Form, sub.Name()))
			}
			return names
		}
		ann := c.client(subscribe("ab", "b"), otherForm(subscribe("ab")), where(even, subscribe("ab")), psubscribe("a*", "b*"),
			where(odd, psubscribe("a*")), later(subscribe("ab"), true), toShard(subscribe("ab")))
		bob := c.client(subscribe("ab"), subscribe("c"))
		assert.Equal(t, []string{"ab", "ab WHERE even", "ab LATER", "ab in form 1", "pattern a*", "pattern a* WHERE odd"}, names(ann, Topic))
		assert.Equal(t, []string{"shard ab"}, names(ann, Shard))
		assert.Equal(t, []string{"ab"}, names(bob, Topic))
		assert.Empty(t, names(c.client(), Topic))
		assert.Equal(t, 7, View{c.Broker}.NumMatching(Topic, []byte("ab")))
		assert.Equal(t, 1, View{c.Broker}.NumMatching(Shard, []byte("ab")))
	})
}

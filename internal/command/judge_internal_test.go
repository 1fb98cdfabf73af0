package command

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
)

func (v *indexVersions) last() *broker.Index { return v.current.Load().index.Load() }

// reaches is how many predicates a message to a topic is held against from now on.
func (p *pipe) reaches(topic string) int {
	var f broker.Finder
	found, _ := f.Find(p.service.versions.last(), broker.Topic, []byte(topic))
	return len(slices.Concat(found...))
}

// A costly predicate that its subscriber removes is gone for publishers, too.
func TestPredicatesThatHaveGoneAreNotEvaluated(t *testing.T) {
	sub := servePipes(t, 1)[0]
	sub.say("SUB orders WHERE n == 1", "SUB orders WHERE n == 2", "SUB quiet WHERE n == 1", "PSUB o* WHERE n == 1", "SUB x")
	assert.Equal(t, 3, sub.reaches("orders"))
	sub.say("UNSUB orders WHERE n == 1", "SUB x")
	assert.Equal(t, 2, sub.reaches("orders"))
	sub.say("UNSUB orders", "PUNSUB o*", "SUB x")
	assert.Zero(t, sub.reaches("orders"))
	assert.Equal(t, 1, sub.reaches("quiet"))
}

// A predicate that several names have is evaluated once for a message.
func TestAPredicateOfSeveralNamesIsEvaluatedOnce(t *testing.T) {
	sub := servePipes(t, 1)[0]
	sub.say("SUB orders WHERE n == 1", "PSUB o* WHERE n == 1", "PSUB *s WHERE n == 1", "PSUB * WHERE n == 2", "SUB x")
	j := sub.service.newEvaluation(new(abortSignal))
	publish := broker.Request{Op: broker.Publish, Names: [][]byte{[]byte("orders")}, Payloads: [][]byte{[]byte(`{"n":1}`)}}
	out, _, ok := j.batch(sub.service.versions.last(), []broker.Request{publish})
	require.True(t, ok)
	assert.Len(t, out[0].Judgements, 3)
	assert.Len(t, slices.Compact(slices.Sorted(slices.Values(j.same))), 2)
}

// A batch that the core will never apply is given back: its memory goes with it.
func TestABatchThatIsNotSubmittedIsGivenBack(t *testing.T) {
	for name, end := range map[string]func(c *pipe, stop func()){
		"cut while its predicates are evaluated": func(c *pipe, _ func()) { c.abort.raise() },
		"the core has stopped":                   func(_ *pipe, stop func()) { stop() },
		"the core stops while the reader waits": func(c *pipe, stop func()) {
			stop()
			c.Reader.judging.unsure = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, stop := newStoppable(t, Options{Unprotected: true, Store: newTestStore(), Unsynced: 1})
			require.Equal(t, "+OK", serveOn(t, s).do("CONFIG SET durable orders"))
			subscribe(t, s, "orders x", new(counting))
			c := newPipe(t, s)
			in := outbox.NewBuffer(&s.memory, 1<<20)
			b := newBatch(&c.sub, in, 0, copy(in.Bytes, "PUBLISH orders x\n"))
			require.Equal(t, CloseReasonNone, c.Reader.parse(b))
			end(c, stop)
			assert.False(t, c.Reader.submit(b))
			assert.Less(t, s.memory.Used(), in.Size(), "the buffer is no longer counted")
			assert.Zero(t, s.largeAppends.Load(), "other appends do not wait for it")
			if name == "cut while its predicates are evaluated" {
				subscribe(t, s, "orders y", new(counting)) // the publisher holds no grace period up
			}
		})
	}
}

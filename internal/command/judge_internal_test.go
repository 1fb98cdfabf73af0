package command

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/outbox"
)

// asks is how many predicates the connection remembers for a topic; none at all are -1.
func (p *pipe) asks(topic string) int {
	kn := p.known.Load()
	if kn == nil {
		return -1
	}
	kn.mu.Lock()
	defer kn.mu.Unlock()
	q := kn.topics[knownKey{broker.Topic, topic}]
	if q == nil {
		return -1
	}
	return len(q.asked)
}

// What has gone is asked once more, and not again: a costly predicate that somebody removes is gone for publishers, too.
func TestPredicatesThatHaveGoneAreForgotten(t *testing.T) {
	all := servePipes(t, 2)
	sub, pub := all[0], all[1]
	const message = "PUB orders x"
	pub.say(message)
	assert.Equal(t, -1, pub.asks("orders"))
	sub.say("SUB orders WHERE n == 1", "SUB orders WHERE n == 2", "SUB quiet WHERE n == 1")
	pub.say(message, "PUB quiet x")
	assert.Equal(t, 2, pub.asks("orders"))
	sub.say("UNSUB orders WHERE n == 1")
	pub.say(message, message)
	assert.Equal(t, 1, pub.asks("orders"))
	sub.say("SUB orders WHERE n == 3")
	pub.say(message)
	assert.Equal(t, 2, pub.asks("orders"))
	sub.say("UNSUB orders")
	pub.say(message, message)
	assert.Equal(t, -1, pub.asks("orders"), "its runs are sent as they come again")
	assert.Equal(t, 1, pub.asks("quiet"))
}

// Of a batch that goes back, only that is asked which has no verdicts.
func TestNothingIsAskedTwice(t *testing.T) {
	c := &Conn{service: &Service{core: broker.New(broker.Options{})}} // which is not run: it only takes the batch
	c.service.evaluators.slots = evaluatorSlots()
	one, err := c.service.predicates.Compile("n == 1", filter.Limits{})
	require.NoError(t, err)
	publish := func(asked []broker.Predicate, verdicts ...broker.Verdict) broker.Request {
		args := [][]byte{[]byte("orders"), []byte(`{"n":1}`)}
		return broker.Request{Op: broker.Publish, Names: args[:1], Payloads: args[1:], Tag: new(invocation), Asked: asked, Verdicts: verdicts}
	}
	asked := []broker.Predicate{one}
	b := &broker.Batch{Requests: []broker.Request{publish(asked), publish(asked, broker.Unreadable), publish(asked), publish(nil)}}
	c.judging.Add(1)
	c.judgeReturned(b, nil)
	var verdicts [][]broker.Verdict
	for _, r := range b.Requests {
		verdicts = append(verdicts, r.Verdicts)
	}
	assert.Equal(t, [][]broker.Verdict{{broker.Yes}, {broker.Unreadable}, {broker.Yes}, {broker.Yes}}, verdicts, "the second is as it was")
}

// A connection that is cut while its predicates are asked never submits that batch. Its memory goes with it all the same.
func TestABatchThatIsNotSubmittedIsGivenBack(t *testing.T) {
	s := newService(t, Options{})
	c := newPipe(t, s)
	p, err := s.predicates.Compile("n == 1", filter.Limits{})
	require.NoError(t, err)
	kn := &known{of: &c.Conn}
	kn.learn(&broker.Request{Names: [][]byte{[]byte("orders")}, Asked: []broker.Predicate{p}})
	c.known.Store(kn)
	in := outbox.NewBuffer(&s.memory, 1<<20)
	n := copy(in.Bytes, "PUBLISH orders x\n")
	b := newBatch(c.sub, in, 0, n)
	require.Equal(t, CloseReasonNone, c.Reader.parse(b))
	c.abort()
	assert.False(t, c.Reader.submit(b))
	assert.Less(t, s.memory.Used(), in.Size(), "the buffer is no longer counted")
}

package broker

import (
	"bytes"
	"strings"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// condition is a Predicate of the tests, which work its verdicts out. The core only ever sees the pointer.
type condition struct {
	word string
	says func(topic, payload []byte) Verdict
}

// yesIf is a condition that never lacks anything.
func yesIf(word string, holds func(topic, payload []byte) bool) *condition {
	return &condition{word, func(topic, payload []byte) Verdict {
		if holds(topic, payload) {
			return Yes
		}
		return No
	}}
}

func digit(of string) *condition {
	return yesIf(of, func(_, payload []byte) bool { return string(payload) == of })
}

var (
	even  = yesIf("even", func(_, payload []byte) bool { return len(payload) > 0 && payload[len(payload)-1]%2 == 0 })
	odd   = yesIf("odd", func(_, payload []byte) bool { return len(payload) > 0 && payload[len(payload)-1]%2 == 1 })
	onA   = yesIf("on a", func(topic, _ []byte) bool { return string(topic) == "a" })
	never = yesIf("never", func(_, _ []byte) bool { return false })
	blind = &condition{"blind", func(topic, payload []byte) Verdict { // it cannot read what goes to b
		if string(topic) == "b" {
			return Unreadable
		}
		return even.says(topic, payload)
	}}
	// More than are found by walking over them.
	someConditions = []*condition{
		even, odd, onA, never, blind, digit("0"), digit("1"), digit("2"), digit("3"), digit("4"), digit("5"),
	}
)

const whereMark = " WHERE "

// where puts a condition on each name of a request.
func where(p *condition, q Request) Request {
	for i, name := range q.Names {
		if q.Op == Subscribe {
			q.Filters = append(q.Filters, Filter{Predicate: p, TopicLen: len(name), Cost: len(p.word)})
		}
		q.Names[i] = append(bytes.Clone(name), whereMark+p.word...)
	}
	return q
}

// wide makes an Unsubscribe mean all that a name is subscribed with.
func wide(q Request) Request {
	q.IncludeFiltered = true
	return q
}

func toShard(q Request) Request {
	q.Kind = Shard
	return q
}

// conditionOf takes a subscription's name apart.
func conditionOf(name string) (topic string, p *condition) {
	topic, word, found := strings.Cut(name, whereMark)
	if !found {
		return name, nil
	}
	for _, p := range someConditions {
		if p.word == word {
			return topic, p
		}
	}
	panic("no such condition: " + name)
}

// answerAsked works out what a publish was asked.
func answerAsked(q *Request) {
	q.Verdicts = make([]Verdict, len(q.Asked))
	for i, p := range q.Asked {
		q.Verdicts[i] = p.(*condition).says(q.Names[0], q.Payloads[0])
	}
}

// judge does with a returned batch what its connection has to: verdicts for what was asked, and runs taken apart. A run that
// its connection will refuse stays whole: it will not be asked again.
func judge(b *Batch) {
	var requests []Request
	for _, q := range b.Requests {
		switch {
		case q.Op == Exec:
			kept := keptOf(&q)
			for i := range kept {
				answerAsked(&kept[i])
			}
		case q.Op == Publish && len(q.Asked) > 0 && len(q.Verdicts) == 0 && q.Tag != refused:
			for i := range q.Payloads {
				part := q
				part.Payloads = q.Payloads[i : i+1]
				answerAsked(&part)
				requests = append(requests, part)
			}
			continue
		}
		requests = append(requests, q)
	}
	b.Requests = requests
}

// keptOf is what an Exec request runs, which its Tag says.
func keptOf(q *Request) []Request {
	switch call := q.Tag.(type) {
	case []Request:
		return call
	case *errand:
		return call.kept
	}
	return nil
}

// judged is a publish with the verdicts of these predicates.
func judged(q Request, asked ...*condition) Request {
	for _, p := range asked {
		q.Asked = append(q.Asked, p)
	}
	answerAsked(&q)
	return q
}

// back takes what has been returned to a client: one batch.
func (c *core) back(to *client) *Batch {
	c.t.Helper()
	require.Len(c.t, to.returned, 1, "batches that have come back")
	batch := to.returned[0]
	to.returned = nil
	return batch
}

// again judges the batch that has come back to a client, and submits it once more.
func (c *core) again(to *client) {
	c.t.Helper()
	batch := c.back(to)
	judge(batch)
	require.True(c.t, c.Submit(batch))
	synctest.Wait()
}

// settle does so until nothing comes back any more, and tells how often it did.
func (c *core) settle(to *client) (times int) {
	c.t.Helper()
	for len(to.returned) > 0 {
		c.again(to)
		times++
		require.Less(c.t, times, 100, "a batch comes back without end")
	}
	return times
}

// say is do for requests that may come back.
func (c *core) say(from *client, requests ...Request) {
	c.t.Helper()
	c.do(from, requests...)
	c.settle(from)
}

// asked are the questions of a request by their words.
func asked(q Request) (words []string) {
	for _, p := range q.Asked {
		words = append(words, p.(*condition).word)
	}
	return words
}

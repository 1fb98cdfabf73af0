package broker

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// condition is a Predicate of the tests. It takes the request that it is about as it is.
type condition struct {
	word string
	says func(topic, payload []byte) Verdict
}

// Match evaluates the condition for a publish of one message.
func (p *condition) Match(decoded any) Verdict {
	r := decoded.(*Request)
	return p.says(r.Names[0], r.Payloads[0])
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
	topic, _, _ = strings.Cut(topic, laterMark)
	if !found {
		return topic, nil
	}
	for _, p := range someConditions {
		if p.word == word {
			return topic, p
		}
	}
	panic("no such condition: " + name)
}

// judge returns requests with the verdicts that an index demands. Runs that reach a predicate come as single messages, but for
// those that a recorder refuses as a whole.
func judge(x *Index, requests []Request) (judged []Request) {
	var f Finder
	for _, q := range requests {
		switch found, _ := f.Find(x, q.Kind, topicOf(&q)); {
		case q.Op == Exec:
			copy(keptOf(&q), judge(x, keptOf(&q)))
		case q.Op == Publish && len(found) > 0 && q.Tag != refused:
			for i := range q.Payloads {
				part := q
				part.Payloads, part.Judgements = q.Payloads[i:i+1], nil
				for _, c := range slices.Concat(found...) {
					if v := c.Predicate.Match(&part); v != No {
						part.Judgements = append(part.Judgements, c.Verdict(v))
					}
				}
				judged = append(judged, part)
			}
			continue
		}
		judged = append(judged, q)
	}
	return judged
}

func topicOf(q *Request) []byte {
	if q.Op != Publish {
		return nil
	}
	return q.Names[0]
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

// versions stands in for what publishers share: the last index, and how many hold each version.
type versions struct {
	mu    sync.Mutex
	index *Index
	holds map[uint64]int
	all   uint64 // that were handed out
	core  *Broker
}

// newJudged makes a Broker that hands its indexes to v.
func newJudged(o Options) (*Broker, *versions) {
	v := &versions{index: new(Index), holds: make(map[uint64]int)}
	v.core = New(o)
	v.core.OnIndex(v.take)
	return v.core, v
}

func (v *versions) take(x *Index) (unused bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before := v.index.Version()
	v.all++
	v.index = x
	return v.holds[before] == 0
}

// last is the last index.
func (v *versions) last() *Index {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.index
}

// enter holds the last version.
func (v *versions) enter() *Index {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.holds[v.index.Version()]++
	return v.index
}

// leave ends one hold, and reports the last one of an older version.
func (v *versions) leave(version uint64) {
	v.mu.Lock()
	v.holds[version]--
	last := v.index.Version()
	over := v.holds[version] == 0 && version < last
	v.mu.Unlock()
	if over {
		v.core.Unused(last)
	}
}

// submit judges a batch, and submits it.
func (v *versions) submit(batch *Batch) bool {
	x := v.enter()
	defer v.leave(x.Version())
	batch.Version, batch.Requests = x.Version(), judge(x, batch.Requests)
	return v.core.Submit(batch)
}

// listed are the words of the predicates that messages to a reach in the last index.
func (v *versions) listed() (words []string) {
	var f Finder
	found, _ := f.Find(v.index, Topic, []byte("a"))
	for _, c := range slices.Concat(found...) {
		words = append(words, c.Predicate.(*condition).word)
	}
	return words
}

// inPieces are requests in batches that end with a Subscribe with a predicate.
func inPieces(requests []Request) (batches [][]Request) {
	begin := 0
	for i := range requests {
		if requests[i].Filters != nil || i == len(requests)-1 {
			batches = append(batches, requests[begin:i+1])
			begin = i + 1
		}
	}
	return batches
}

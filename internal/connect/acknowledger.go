package connect

import (
	"context"
	"sync"

	"github.com/conchmq/conch/internal/command"
)

// acknowledger is the second goroutine of a source's connection: it waits for what was published, counts it, and acknowledges it.
type acknowledger struct {
	life   *sourceLife
	input  Input
	stop   context.CancelCauseFunc // ends the reading goroutine
	ended  chan<- size
	broken bool // no acks any more: the connection ends

	mu sync.Mutex // one Publish at a time: dead letters that conch has refused as messages are published from here
}

func (a *acknowledger) publish(messages []Message) *Receipt {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.input.Publish(messages)
}

// run ends with the channel. What is outstanding at the end of the context is still waited for: it takes effect, or the broker says that it
// does not.
func (a *acknowledger) run(ctx context.Context, outstanding <-chan *taken) {
	for t := range outstanding {
		if err := a.settle(ctx, t); err != nil {
			a.broken = true
			a.stop(err)
		}
		a.ended <- t.size // it has room for all that are outstanding
	}
}

// settle waits for a batch to take effect, and acknowledges it.
func (a *acknowledger) settle(ctx context.Context, t *taken) error {
	result := Result{}
	if t.receipt != nil {
		<-t.receipt.Done()
		result = t.receipt.Result()
	}
	rejected := result.Rejected
	if result.Err == nil && len(rejected) > 0 {
		result.Err = a.reject(t, rejected)
	}
	a.count(t, &result)
	if result.Err != nil || a.broken {
		return result.Err
	}
	if t.batch.Ack == nil {
		return nil
	}
	return guard(func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		if t.refused != nil {
			return t.batch.Ack(ctx, t.refused)
		}
		return t.batch.Ack(ctx, nil)
	})
}

// reject publishes as dead letters what conch does not take as messages. They carry no position, because later ones may be kept already.
func (a *acknowledger) reject(t *taken, rejected []Rejected) error {
	plan := a.life.plan
	var letters []Message
	for _, r := range rejected {
		if m := t.sent[r.Index]; plan.Dead != "" && !t.isDead[r.Index] {
			m.Partition, m.Position = "", ""
			letters = append(letters, deadLetter(m, plan.Dead, "conch-dead-source", plan.Name, r.Err))
		} else {
			t.refuse(t.index[r.Index], r.Err)
		}
	}
	if len(letters) == 0 {
		return nil
	}
	receipt := a.publish(letters)
	<-receipt.Done()
	return receipt.Result().Err
}

// count adds a batch to the account. Messages are counted when their end is certain: those that come again are counted then.
func (a *acknowledger) count(t *taken, result *Result) {
	all := uint64(len(t.batch.Messages))
	a.life.account.update(func(row *command.Connector) {
		row.Pending -= all
		if result.Err != nil {
			row.Taken += uint64(result.Published)
			row.Published += uint64(result.Published)
			row.Repeated += uint64(result.Repeated)
			row.Retried += all - uint64(result.Published)
			return
		}
		dead := t.dead
		for _, r := range result.Rejected {
			if !t.isDead[r.Index] {
				dead++
			}
		}
		row.Taken += all
		row.HeldBack += t.held
		row.Looped += t.looped
		row.Dead += dead
		row.Published += all - t.held - dead
		row.Repeated += uint64(result.Repeated)
	})
}

// deadLetter is a message on its way to the topic of dead letters, with the reason and the connector among its headers.
func deadLetter(m Message, topic, by, name string, err error) Message {
	m.Topic = topic
	m.Headers = append(m.Headers[:len(m.Headers):len(m.Headers)], Header{"conch-dead-reason", err.Error()}, Header{by, name})
	return m
}

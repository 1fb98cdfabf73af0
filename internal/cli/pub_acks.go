package cli

import (
	"bufio"
	"context"

	"github.com/conchmq/conch/client"
)

// acks awaits the acknowledgements in order, counts them and prints them. It has a goroutine; end awaits that.
type acks struct {
	publisher *client.Publisher
	topic     []byte
	json      bool
	out       *bufio.Writer // Flush returns the first error of any write
	progress  *progress
	stop      context.CancelFunc // called when a message is not acknowledged

	sent chan sent
	done chan struct{} // closed when the goroutine has ended; until then it owns the fields below

	published, receivers int
	line                 []byte
}

// sent is a message without an acknowledgement yet.
type sent struct {
	id   client.MessageID
	size int // bytes of its line
}

// ackJSON is an acknowledgement as a JSON object.
type ackJSON struct {
	Topic       *string `json:"topic,omitempty"`
	TopicBase64 []byte  `json:"topic_base64,omitempty"`
	Receivers   int     `json:"receivers"`
	Sequence    uint64  `json:"sequence,omitempty"`
}

func newAcks(p *client.Publisher, o *pubOptions, e *Env, in *lineReader, stop context.CancelFunc) *acks {
	a := &acks{
		publisher: p, topic: []byte(o.topic), json: o.json, out: bufio.NewWriter(e.Stdout), stop: stop,
		sent: make(chan sent, 1024), // less than two windows, for which a publisher keeps acknowledgements
		done: make(chan struct{}),
	}
	if o.message == nil && !o.quiet && !o.json && isTerminal(e.Stderr) && !isTerminal(e.Stdin) {
		a.progress = newProgress(e.Stderr, in.size)
	}
	go a.run()
	return a
}

func (a *acks) run() {
	defer close(a.done)
	for m := range a.sent {
		published, err := a.publisher.Wait(context.Background(), m.id)
		if err != nil {
			a.stop() // Publisher.Unacked has the message and the reason
			continue
		}
		a.take(published)
		a.progress.add(m.size)
		if len(a.sent) == 0 {
			_ = a.out.Flush() // the last Flush returns the error
		}
	}
	a.progress.end()
}

func (a *acks) take(p client.Published) {
	a.published++
	a.receivers += p.Receivers
	if a.json {
		j := ackJSON{Receivers: p.Receivers, Sequence: p.Sequence}
		j.Topic, j.TopicBase64 = textJSON(a.topic)
		a.line = appendJSON(a.line[:0], j)
		_, _ = a.out.Write(a.line) // as above
	}
}

// end awaits the goroutine. No message may be sent to it after that.
func (a *acks) end() {
	close(a.sent)
	<-a.done
}

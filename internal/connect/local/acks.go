package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	maxUnacknowledged = 16              // deliveries that are done, and wait for their acknowledgement
	ackPatience       = 5 * time.Second // of Close, for the last acknowledgements
)

// acks acknowledges what a sink is done with, in a goroutine of its own. While the log takes one acknowledgement, the sink goes on, and what is done
// meanwhile becomes the next one. The outlet owns it.
type acks struct {
	outlet  *outlet
	done    chan *delivery
	conn    *conn           // the goroutine's; nil before the first acknowledgement
	ctx     context.Context // of acknowledgements
	stop    context.CancelFunc
	once    sync.Once
	closing chan struct{} // closed by close
	ended   chan struct{} // closed when the goroutine has ended
}

func newAcks(o *outlet) *acks {
	ctx, stop := context.WithCancel(context.Background())
	a := &acks{ctx: ctx, stop: stop, outlet: o, done: make(chan *delivery, maxUnacknowledged), closing: make(chan struct{}), ended: make(chan struct{})}
	go a.run()
	return a
}

// add has a delivery acknowledged. It waits while too many are.
func (a *acks) add(ctx context.Context, d *delivery) error {
	select {
	case a.done <- d: // also if the context has ended: what is sent is not to come again
		return nil
	default:
	}
	select {
	case a.done <- d:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close waits for all acknowledgements, but not for ever. No add may follow.
func (a *acks) close() {
	a.once.Do(func() {
		close(a.closing)
		close(a.done)
	})
	patience := time.AfterFunc(ackPatience, a.stop)
	<-a.ended
	patience.Stop()
	a.stop()
}

// run is the goroutine.
func (a *acks) run() {
	defer close(a.ended)
	for d := range a.done {
		a.acknowledge(a.together(d))
	}
	if a.conn != nil {
		a.conn.close()
	}
}

// together returns a delivery with those that wait behind it.
func (a *acks) together(d *delivery) []*delivery {
	all := []*delivery{d}
	for len(all) < maxUnacknowledged {
		select {
		case d, ok := <-a.done:
			if !ok {
				return all
			}
			all = append(all, d)
		default:
			return all
		}
	}
	return all
}

// acknowledge acknowledges deliveries, and tries again after an error. What Close ends comes again.
func (a *acks) acknowledge(all []*delivery) {
	var entries []entryID
	for _, d := range all {
		entries = append(entries, d.filtered...)
		for i := range d.Messages {
			entries = append(entries, entryID{d.Messages[i].Topic, d.ids[i]})
		}
	}
	for {
		err := a.send(entries)
		a.outlet.setUnacknowledged(err)
		if err == nil {
			break
		}
		timer := time.NewTimer(retryAfter)
		select {
		case <-timer.C:
		case <-a.closing:
			timer.Stop()
			return
		}
	}
	for _, d := range all {
		a.outlet.end(d, len(d.Messages), true)
	}
}

// send acknowledges entries, those of a stream together. It returns once the log has that.
func (a *acks) send(entries []entryID) (err error) {
	byStream := make(map[string][]string)
	var streams []string
	for _, e := range entries {
		if byStream[e.stream] == nil {
			streams = append(streams, e.stream)
			byStream[e.stream] = []string{"XACK", e.stream, "connect:" + a.outlet.Name}
		}
		byStream[e.stream] = append(byStream[e.stream], e.id)
	}
	if a.conn == nil {
		c, err := a.outlet.broker.openForAcks("connector:" + a.outlet.Name)
		if err != nil {
			return err
		}
		a.conn = c
	}
	for _, stream := range streams {
		_, err := a.conn.do(a.ctx, byStream[stream]...)
		if no := new(refusal); errors.As(err, &no) {
			return fmt.Errorf("an acknowledgement is refused: %w", err)
		}
		if err != nil {
			a.conn.close()
			a.conn = nil
			return err
		}
	}
	return nil
}

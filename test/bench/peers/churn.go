package main

import (
	"context"
	"fmt"
	"time"
)

// churnCost compares what it costs to subscribe to topics and to leave them again beside 100 and beside 100,000 topics
// that nobody touches.
func churnCost(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	holder, err := dial(ctx, p.Address)
	if err != nil {
		return nil, err
	}
	defer holder.close()
	mover, err := dial(ctx, p.Address)
	if err != nil {
		return nil, err
	}
	defer mover.close()

	const less, more = 100, 100_000
	held := names("held.%d", more)
	got := sample{}
	if err := holder.each("SUBSCRIBE", held[:less]); err != nil {
		return nil, err
	}
	if got[few], got[fewRate], err = moveCost(ctx, p, mover, duration); err != nil {
		return nil, err
	}
	if err := holder.each("SUBSCRIBE", held[less:]); err != nil {
		return nil, err
	}
	if got[many], got[manyRate], err = moveCost(ctx, p, mover, duration); err != nil {
		return nil, err
	}
	got[growth] = got[many] / got[few]
	return got, nil
}

// moveCost is the CPU µs and the rate of pairs: a topic that comes into being and, 32 commands later, ends.
func moveCost(ctx context.Context, p *process, mover *wire, duration time.Duration) (cost, rate float64, err error) {
	const half = 32 // 32 subscribe, then 32 unsubscribe: one write
	moving := names("moving.%d", 32*half)
	turn := 0
	next := func() {
		verb := "SUBSCRIBE"
		if turn/half%2 == 1 {
			verb = "UNSUBSCRIBE"
		}
		mover.command(verb, moving[turn/(2*half)*half%len(moving)+turn%half])
		turn++
	}
	if _, _, err := mover.pipeline(ctx, warmUp(duration), next); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	cost, commands, _, err := p.costOf(func() (int, int64, error) { return mover.pipeline(ctx, duration, next) })
	return 2 * cost, float64(commands) / 2 / time.Since(began).Seconds(), err
}

// leavingTime compares how long it takes until 1,000 clients that leave at once, each with 100 topics of its own, are
// gone from all of them, when there are no other topics and when there are 100,000.
func leavingTime(ctx context.Context, p *process, _ time.Duration) (sample, error) {
	observer, err := dial(ctx, p.Address)
	if err != nil {
		return nil, err
	}
	defer observer.close()
	got := sample{}
	if got[few], err = leaveTogether(ctx, p, observer); err != nil {
		return nil, err
	}
	holder, err := dial(ctx, p.Address)
	if err != nil {
		return nil, err
	}
	defer holder.close()
	if err := holder.each("SUBSCRIBE", names("held.%d", 100_000)); err != nil {
		return nil, err
	}
	if got[many], err = leaveTogether(ctx, p, observer); err != nil {
		return nil, err
	}
	got[growth] = got[many] / got[few]
	return got, nil
}

const (
	leaving   = 1000 // clients
	topicsOf  = 100  // of each client
	exercises = 3    // of which the last counts: in the first, a server's tables and pools are still growing
)

// leaveTogether is how many ms pass from the first closed connection until the server counts no subscriber any more.
func leaveTogether(ctx context.Context, p *process, observer *wire) (ms float64, err error) {
	for range exercises {
		if ms, err = leaveOnce(ctx, p, observer); err != nil {
			return 0, err
		}
	}
	return ms, nil
}

func leaveOnce(ctx context.Context, p *process, observer *wire) (float64, error) {
	clients := make([]*wire, 0, leaving)
	closeAll := func() {
		for _, c := range clients {
			c.close()
		}
	}
	last := make([]string, 0, leaving) // one topic of each client: they go together
	for i := range leaving {
		c, err := dial(ctx, p.Address)
		if err != nil {
			closeAll()
			return 0, err
		}
		clients = append(clients, c)
		topics := names(fmt.Sprintf("leaving.%d.%%d", i), topicsOf)
		if err := c.each("SUBSCRIBE", topics); err != nil {
			closeAll()
			return 0, err
		}
		last = append(last, topics[topicsOf-1])
	}
	question := append([]string{"PUBSUB", "NUMSUB"}, last...)
	if there, err := observer.ask(question...); err != nil || there != leaving {
		closeAll()
		return 0, fmt.Errorf("%d of %d clients are subscribed: %w", there, leaving, err)
	}
	began := time.Now()
	closeAll()
	for {
		there, err := observer.ask(question...)
		if err != nil {
			return 0, err
		}
		if there == 0 {
			return float64(time.Since(began).Microseconds()) / 1000, nil
		}
		if time.Since(began) > patience {
			return 0, fmt.Errorf("%d of %d clients are still there after %v", there, leaving, patience)
		}
	}
}

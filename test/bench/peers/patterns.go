package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// patternCost compares the server's CPU time for each publish when 10 patterns are subscribed to and when 10,000 are.
// Each message matches one of them, and the next message another one.
func patternCost(ctx context.Context, p *process, duration time.Duration) (got sample, err error) {
	got = sample{}
	if got[few], err = publishCost(ctx, p, "few", 10, duration); err != nil {
		return nil, err
	}
	if got[many], err = publishCost(ctx, p, "many", 10_000, duration); err != nil {
		return nil, err
	}
	got[growth] = got[many] / got[few]
	return got, nil
}

// publishCost is the CPU µs of a publish when one connection holds n patterns. kind keeps them apart from others.
func publishCost(ctx context.Context, p *process, kind string, n int, duration time.Duration) (float64, error) {
	listener, err := dial(ctx, p.Address)
	if err != nil {
		return 0, err
	}
	defer listener.close()
	publisher, err := dial(ctx, p.Address)
	if err != nil {
		return 0, err
	}
	defer publisher.close()
	if err := listener.each("PSUBSCRIBE", names(kind+".%d.*", n)); err != nil {
		return 0, err
	}
	defer listener.discard()()
	topics := names(kind+".%d.name", n)

	turn := 0
	next := func() {
		publisher.command("PUBLISH", topics[turn%len(topics)], "hello")
		turn++
	}
	if _, _, err := publisher.pipeline(ctx, warmUp(duration), next); err != nil {
		return 0, err
	}
	cost, commands, received, err := p.costOf(func() (int, int64, error) { return publisher.pipeline(ctx, duration, next) })
	if err == nil && int64(commands) != received {
		err = fmt.Errorf("%d publishes had %d receivers", commands, received)
	}
	return cost, err
}

// costOf is the server's CPU µs for each of the commands that f sends.
func (p *process) costOf(f func() (int, int64, error)) (cost float64, commands int, sum int64, err error) {
	before, err := p.Usage()
	if err != nil {
		return 0, 0, 0, err
	}
	if commands, sum, err = f(); err != nil {
		return 0, 0, 0, err
	}
	after, err := p.Usage()
	if err == nil && (commands == 0 || after == before) {
		err = errors.New("too little happened to be measured; take a longer --duration")
	}
	return float64((after - before).Microseconds()) / float64(max(commands, 1)), commands, sum, err
}

// warmUp is how long a load runs before it is measured.
func warmUp(duration time.Duration) time.Duration { return max(duration/4, 250*time.Millisecond) }

package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// settleTime is how long a server is left alone after a load, before its resident memory is read.
	settleTime = time.Minute
	// settlePasses bounds how often that is done: a pass costs two minutes and more, as the rounds do not.
	settlePasses = 3
)

// settleAll measures the resident memory a minute after each ordinary load. It comes after all rounds, because the
// servers of a pass stand idle beside each other and beside the next loads: they share the minute, and no rate, latency
// or CPU time is taken from these loads.
func (c *contest) settleAll(ctx context.Context) error {
	for pass := 1; pass <= min(c.rounds, settlePasses); pass++ {
		if err := c.settlePass(ctx, pass); err != nil {
			return err
		}
	}
	return nil
}

// settlePass loads a server for each ordinary scenario and contestant, one after the other, and then waits for all.
func (c *contest) settlePass(ctx context.Context, pass int) error {
	var waiting sync.WaitGroup
	defer waiting.Wait() // also where ctx ends the loads early
	var mu sync.Mutex    // guards c.outcomes and c.progress
	for i := range c.scenarios {
		s := &c.scenarios[i]
		if !s.ordinary {
			continue
		}
		for _, one := range c.order(s, pass) {
			p, err := start(ctx, s, one)
			if err == nil {
				_, err = p.take(ctx, s, c.duration)
			}
			waiting.Go(func() {
				got := outcome{Scenario: s.name, Contestant: one.name, Round: pass}
				if got.Sample, err = p.settle(ctx, err); err != nil {
					got.Sample, got.Error = nil, brief(fmt.Errorf("memory a minute after the load: %w", err))
				}
				mu.Lock()
				defer mu.Unlock()
				c.outcomes[s.name] = append(c.outcomes[s.name], got)
				c.tell(s, got)
			})
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	waiting.Wait()
	return ctx.Err()
}

// settle is the resident memory of a server that had a load, a minute after it, and then stops the server. err is that
// of the load.
func (p *process) settle(ctx context.Context, err error) (sample, error) {
	if p == nil {
		return nil, err
	}
	defer p.Stop()
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(settleTime):
	}
	if died := p.Running(); died != nil {
		return nil, died
	}
	resident, err := p.Resident()
	return sample{afterwards: mebibytes(resident)}, err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const behindPayload = 4096

// behind kills a node, publishes much, and starts the node again. It measures how long that takes to serve clients, whether what it serves
// then is what the others had when it was started, and what the others' clients notice.
func behind(ctx context.Context, g *group, o *options) (sample, error) {
	leader, err := g.leader(ctx)
	if err != nil {
		return nil, err
	}
	late := g.nodes[0]
	if late == leader {
		late = g.nodes[1]
	}
	others := &group{system: g.system, dir: g.dir}
	for _, n := range g.nodes {
		if n != late {
			others.nodes = append(others.nodes, n)
		}
	}
	if err := late.Kill(); err != nil {
		return nil, err
	}
	if err := others.fill(ctx, o.behind*1_000_000/behindPayload); err != nil {
		return nil, fmt.Errorf("the messages that it misses: %w", err)
	}
	alone := newPacedRun(o.duration)
	if err := alone.run(ctx, others); err != nil {
		return nil, fmt.Errorf("publishes before it starts: %w", err)
	}
	return others.catchUp(ctx, late, alone)
}

// fill publishes so many messages of 4 KiB to one topic.
func (g *group) fill(ctx context.Context, count int) error {
	p, err := newPublisher(g, publishForm, 0)
	if err != nil {
		return err
	}
	defer p.close()
	command := p.command(nil, payload(behindPayload))
	const window = 256
	for i := 0; i < count+window; i++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if i < count {
			if err := p.write(command); err != nil {
				return err
			}
		}
		if i >= window && i-window < count {
			if err := p.acknowledged(); err != nil {
				return err
			}
		}
	}
	return nil
}

// catchUp starts a node again, under a load of the others.
func (g *group) catchUp(ctx context.Context, late *node, alone *pacedRun) (sample, error) {
	want, err := g.nodes[0].length("d.0")
	if err != nil {
		return nil, err
	}
	meanwhile := newPacedRun(10 * time.Minute)
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	load := make(chan error, 1)
	go func() { load <- meanwhile.run(loadCtx, g) }()
	pause(ctx, time.Second) // its warm-up
	began := time.Now()
	if err := late.restart(ctx); err != nil {
		return nil, err
	}
	served, err := late.watch(ctx, want)
	took := time.Since(began)
	stop()
	if errLoad := <-load; errLoad != nil {
		err = errors.Join(err, fmt.Errorf("publishes while it catches up: %w", errLoad))
	}
	if err != nil {
		return nil, err
	}
	served[caughtUp] = took.Seconds()
	served[aloneP50], served[aloneP99] = quantile(alone.latencies, 0.5), quantile(alone.latencies, 0.99)
	served[meanwhileP50], served[meanwhileP99] = quantile(meanwhile.latencies, 0.5), quantile(meanwhile.latencies, 0.99)
	return served, nil
}

// watch sends XLEN to a node that catches up until it has the others' state, and counts the replies before. An older state is a stale answer.
func (n *node) watch(ctx context.Context, want int) (sample, error) {
	got := sample{refused: 0, loading: 0, stale: 0, longestWait: 0}
	for deadline := time.Now().Add(longest / 2); time.Now().Before(deadline) && ctx.Err() == nil; pause(ctx, 10*time.Millisecond) {
		if err := n.Running(); err != nil {
			return nil, err
		}
		asked := time.Now()
		have, err := n.length("d.0")
		got[longestWait] = max(got[longestWait], time.Since(asked).Seconds())
		switch {
		case err == nil && have >= want:
			return got, nil
		case err == nil:
			got[stale]++
		case strings.HasPrefix(err.Error(), "LOADING"), strings.HasPrefix(err.Error(), "CLUSTERDOWN"):
			got[loading]++
		default:
			got[refused]++
		}
	}
	return got, errors.New("the node does not catch up")
}

// length is how many entries a stream has at a node.
func (n *node) length(stream string) (int, error) {
	w, err := dialRESP(n.address)
	if err != nil {
		return 0, err
	}
	defer w.close()
	texts, err := w.request("XLEN", stream)
	if err != nil {
		return 0, err
	}
	if len(texts) != 1 {
		return 0, fmt.Errorf("%q is no length", texts)
	}
	return strconv.Atoi(texts[0])
}

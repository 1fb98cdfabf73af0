package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/conchmq/conch/client"
)

// failover kills the leader again and again, and measures the time from then until the next publish is answered. The client is
// connected to the leader, and has the addresses of all nodes.
func failover(ctx context.Context, g *group, o *options) (sample, error) {
	var all []float64
	for i := range o.kills {
		took, err := g.failOnce(ctx)
		if err != nil {
			return nil, fmt.Errorf("kill %d: %w", i+1, err)
		}
		all = append(all, milliseconds(took))
	}
	return sample{failoverMedian: quantile(all, 0.5), failoverWorst: slices.Max(all), kills: float64(len(all))}, nil
}

func (g *group) failOnce(ctx context.Context) (took time.Duration, err error) {
	leader, err := g.leader(ctx)
	if err != nil {
		return 0, err
	}
	addresses := []string{leader.address}
	for _, n := range g.nodes {
		if n != leader {
			addresses = append(addresses, n.address)
		}
	}
	c, err := client.Dial(ctx, client.Options{Addresses: addresses})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Publish(ctx, "d.0", []byte("before")); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := leader.Kill(); err != nil {
		return 0, err
	}
	err = until(ctx, func() error {
		_, err := c.Publish(ctx, "d.0", []byte("behind"))
		return err
	})
	took = time.Since(began)
	if err == nil {
		err = leader.restart(ctx)
	}
	return took, errors.Join(err, g.await(ctx))
}

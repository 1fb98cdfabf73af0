package main

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/conchmq/conch/internal/bench"
)

// idleConnections are few enough for the limit of 10,000 connections that conch, Redis and Valkey have by default.
const idleConnections = 9000

// idleMemory is by how much a server grows for each connection that has subscribed and then does nothing. A hundred
// of them share a topic.
func idleMemory(ctx context.Context, p *process, _ time.Duration) (sample, error) {
	before, err := p.settled(ctx)
	if err != nil {
		return nil, err
	}
	connections, err := bench.Idle(ctx, p.Address, idleConnections, p.dialect)
	if err != nil {
		return nil, err
	}
	after, err := p.settled(ctx)
	if err := errors.Join(err, connections.Close()); err != nil {
		return nil, err
	}
	return sample{memory: float64(after-before) / idleConnections / 1024}, nil
}

// settled is the resident memory once it has stopped moving: less than 1 % in a second. A server that goes on moving
// for 15 seconds is taken as it is then.
func (p *process) settled(ctx context.Context) (int64, error) {
	const look, calm, most = 100 * time.Millisecond, 10, 150
	var reference int64
	for still, looks := 0, 0; still < calm && looks < most; looks++ {
		now, err := p.Resident()
		if err != nil {
			return 0, err
		}
		if math.Abs(float64(now-reference)) < 0.01*float64(reference) {
			still++
		} else {
			reference, still = now, 0
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(look):
		}
	}
	return p.Resident()
}

// loaded runs a load of the generator against a server and takes from the result what is shown.
func loaded(ctx context.Context, p *process, l bench.Load, duration time.Duration) (sample, error) {
	l.Address, l.Dialect, l.PID = p.Address, p.dialect, p.PID
	l.Duration, l.WarmUp = duration, warmUp(duration)
	result, err := bench.Run(ctx, l, nil)
	if err != nil {
		return nil, err
	}
	if result.Lost > 0 {
		return nil, errors.New(strconv.FormatInt(result.Lost, 10) + " messages were lost")
	}
	if result.CPU <= 0 {
		return nil, errors.New("the server's CPU time was not measured: " + result.ProcessNote)
	}
	micros := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	return sample{
		deliveries: result.DeliveriesPerSecond,
		cpu:        micros(result.CPU) / float64(result.Deliveries),
		p50:        micros(result.P50),
		p99:        micros(result.P99),
		late:       micros(result.LateP99),
		p999:       micros(result.P999),
		lateTail:   micros(result.LateP999),
		underLoad:  mebibytes(result.Memory),
	}, nil
}

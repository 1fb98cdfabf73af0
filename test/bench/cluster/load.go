package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	publishers   = 4
	together     = 64   // publishes in one write
	ahead        = 1024 // publishes on their way, for each publisher
	payloadBytes = 64
	pacedRate    = 2000 // a second
)

// payload does not compress well, as the data of applications does not.
func payload(size int) string {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%016x", rand.Uint64())
	}
	return b.String()[:size]
}

// connect connects the publishers of a load. The caller closes those that are connected, with an error too.
func connect(g *group, f form) (all []*publisher, err error) {
	for i := range publishers {
		p, err := newPublisher(g, f, i)
		if p != nil {
			all = append(all, p)
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func closeAll(all []*publisher) {
	for _, p := range all {
		p.close()
	}
}

// throughput measures how many publishes are acknowledged, with many of each publisher on their way.
func throughput(f form) measurement {
	return func(ctx context.Context, g *group, o *options) (sample, error) {
		all, err := connect(g, g.formOf(f))
		defer closeAll(all)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var count atomic.Int64
		var tasks sync.WaitGroup
		errs := make([]error, len(all))
		for i, p := range all {
			tasks.Go(func() {
				defer cancel() // one that fails ends all
				errs[i] = p.pipeline(ctx, &count)
			})
		}
		warm := min(o.duration/2, time.Second)
		pause(ctx, warm)
		before, usedBefore, errUsage := count.Load(), time.Duration(0), error(nil)
		usedBefore, errUsage = g.usage()
		began := time.Now()
		pause(ctx, o.duration)
		n, took := count.Load()-before, time.Since(began)
		used, err := g.usage()
		cancel()
		tasks.Wait()
		if err := errors.Join(slices.Concat(errs, []error{errUsage, err})...); err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errors.New("nothing was acknowledged")
		}
		return sample{rate: float64(n) / took.Seconds(), cpuPublish: float64((used - usedBefore).Microseconds()) / float64(n)}, nil
	}
}

// formOf is how a publisher speaks to a group.
func (g *group) formOf(f form) form {
	if g.nats {
		return natsForm
	}
	return f
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// pipeline publishes until ctx ends and all is acknowledged.
func (p *publisher) pipeline(ctx context.Context, count *atomic.Int64) error {
	var block []byte
	for range together {
		block = p.command(block, payload(payloadBytes))
	}
	for open := 0; ; {
		for ctx.Err() == nil && open <= ahead-together {
			if err := p.write(block); err != nil {
				return err
			}
			open += together
		}
		if open == 0 {
			return nil
		}
		for range min(open, together) {
			if err := p.acknowledged(); err != nil {
				return err
			}
			count.Add(1)
			open--
		}
	}
}

// paced measures the latency of publishes at a fixed rate, over the publishers in turn. It counts from the moment at which each was due
// to its acknowledgement.
func paced(ctx context.Context, g *group, o *options) (sample, error) {
	r := newPacedRun(o.duration)
	if err := r.run(ctx, g); err != nil {
		return nil, err
	}
	return sample{p50: quantile(r.latencies, 0.5), p99: quantile(r.latencies, 0.99), late: quantile(r.lateness, 0.99)}, nil
}

// pacedRun is one load at a fixed rate.
type pacedRun struct {
	warm, total int
	lateness    []float64 // ms
	latencies   []float64 // ms
}

func newPacedRun(d time.Duration) *pacedRun {
	warm := pacedRate // a second
	return &pacedRun{warm: warm, total: warm + int(d.Seconds()*pacedRate)}
}

func (r *pacedRun) run(ctx context.Context, g *group) error {
	all, err := connect(g, g.formOf(publishForm))
	defer closeAll(all)
	if err != nil {
		return err
	}
	var tasks sync.WaitGroup
	due := make([]chan time.Time, len(all))
	errs, latencies := make([]error, len(all)), make([][]float64, len(all))
	for i, p := range all {
		due[i] = make(chan time.Time, 1<<18)
		tasks.Go(func() { latencies[i], errs[i] = p.receive(due[i]) })
	}
	err = r.send(ctx, all, due)
	for _, d := range due {
		close(d)
	}
	tasks.Wait()
	r.latencies = slices.Concat(latencies...)
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	if len(r.latencies) != len(r.lateness) {
		return fmt.Errorf("%d publishes were measured, and not %d", len(r.latencies), len(r.lateness))
	}
	return nil
}

// send sends each publish when it is due, until all are sent or ctx ends.
func (r *pacedRun) send(ctx context.Context, all []*publisher, due []chan time.Time) error {
	began := time.Now()
	for i := range r.total {
		at := began.Add(time.Duration(i) * time.Second / pacedRate)
		time.Sleep(time.Until(at)) //nolint:forbidigo // the rate is a setting
		if ctx.Err() != nil {
			return nil
		}
		measured := at
		if i < r.warm {
			measured = time.Time{}
		} else {
			r.lateness = append(r.lateness, milliseconds(time.Since(at)))
		}
		due[i%len(due)] <- measured
		if p := all[i%len(all)]; p.write(p.command(nil, payload(payloadBytes))) != nil {
			return errors.New("a publisher lost its connection")
		}
	}
	return nil
}

// receive reads an acknowledgement for each publish that was due.
func (p *publisher) receive(due <-chan time.Time) (latencies []float64, err error) {
	for at := range due {
		if err != nil {
			continue
		}
		if err = p.acknowledged(); err == nil && !at.IsZero() {
			latencies = append(latencies, milliseconds(time.Since(at)))
		}
	}
	return latencies, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile is the value below which a part of all are.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	appenders      = 4  // connections that append
	appendTogether = 64 // appends in one write
	appendAhead    = 4  // such writes on their way, for each connection
)

// appending measures appends of payloads of a size, in turn to so many streams.
func appending(size, count int) func(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	return func(ctx context.Context, p *process, duration time.Duration) (got sample, err error) {
		m := &appendMeter{process: p, warm: warmUp(duration), duration: duration}
		if err := m.run(ctx, size, count); err != nil {
			return nil, err
		}
		if m.acknowledged == 0 {
			return nil, errors.New("too little happened to be measured; take a longer --duration")
		}
		return sample{
			appends:   float64(m.acknowledged) / duration.Seconds(),
			appendCPU: float64(m.used.Microseconds()) / float64(m.acknowledged),
		}, nil
	}
}

// appendMeter is a load of several connections, which is measured from the end of its warm-up on.
type appendMeter struct {
	process        *process
	warm, duration time.Duration
	count          atomic.Int64 // of all acknowledgements
	acknowledged   int64        // within the measured time
	used           time.Duration
}

func (m *appendMeter) run(ctx context.Context, size, count int) error {
	all, err := newAppenders(m.process)
	defer closeAppenders(all)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(all))
	var tasks sync.WaitGroup
	for i, a := range all {
		tasks.Go(func() {
			defer cancel() // one that fails ends all
			errs[i] = a.append(ctx, blocks(a, i, size, count), &m.count)
		})
	}
	m.measure(ctx)
	cancel()
	tasks.Wait()
	return errors.Join(errs...)
}

// measure takes the counts at both ends of the measured time.
func (m *appendMeter) measure(ctx context.Context) {
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	wait(m.warm)
	count, used := m.count.Load(), m.process.processorTime()
	wait(m.duration)
	m.acknowledged, m.used = m.count.Load()-count, m.process.processorTime()-used
}

// blocks are writes of several appends each, which together go to each stream of this connection alike.
func blocks(a *appender, number, size, count int) (all [][]byte) {
	random := rand.New(rand.NewPCG(uint64(number), uint64(size)))
	stream := 0
	for len(all) == 0 || stream%count != 0 {
		var block []byte
		for range appendTogether {
			block = a.command(block, (stream+number*count/appenders)%count, payload(random, size))
			stream++
		}
		all = append(all, block)
	}
	return all
}

// payload does not compress well, as the data of applications does not.
func payload(random *rand.Rand, size int) string {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%016x", random.Uint64())
	}
	return b.String()[:size]
}

// append writes blocks in turn, as many ahead as may be, until ctx ends and all are acknowledged.
func (a *appender) append(ctx context.Context, blocks [][]byte, count *atomic.Int64) error {
	b := make([]byte, 64<<10)
	for turn, open := 0, 0; ; {
		for ctx.Err() == nil && open <= (appendAhead-1)*appendTogether {
			if err := a.sock.SetDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
			if _, err := a.sock.Write(blocks[turn%len(blocks)]); err != nil {
				return err
			}
			turn, open = turn+1, open+appendTogether
		}
		if open == 0 {
			return nil
		}
		n, err := a.sock.Read(b)
		if err != nil {
			return err
		}
		got, err := a.acknowledged(b[:n])
		if err != nil {
			return err
		}
		open -= got
		count.Add(int64(got))
	}
}

const appendRate = 5000 // a second, where they are paced

// pacedAppends appends at a fixed rate, on several connections in turn. Latency counts from the moment at which each append
// was due to its acknowledgement.
func pacedAppends(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	connected, err := newAppenders(p)
	defer closeAppenders(connected)
	if err != nil {
		return nil, err
	}
	var (
		all   []*pacedAppender
		tasks sync.WaitGroup
	)
	for _, a := range connected {
		one := &pacedAppender{appender: a, due: make(chan time.Time, 1<<16)}
		all = append(all, one)
		tasks.Go(one.receive)
	}
	warm, total := int(warmUp(duration).Seconds()*appendRate), int((warmUp(duration)+duration).Seconds()*appendRate)
	lateness, used, err := pace(ctx, p, all, warm, total)
	for _, one := range all {
		close(one.due)
	}
	tasks.Wait()
	latencies := []float64{}
	for _, one := range all {
		err = errors.Join(err, one.err)
		latencies = append(latencies, one.latencies...)
	}
	if err != nil {
		return nil, err
	}
	if len(latencies) != total-warm {
		return nil, fmt.Errorf("%d appends were measured, and not %d", len(latencies), total-warm)
	}
	return sample{
		p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99), late: quantile(lateness, 0.99),
		appendCPU: float64(used.Microseconds()) / float64(total-warm),
	}, nil
}

// pacedAppender is a connection of paced appends. due has the times of those on their way, zero for one that is not measured.
type pacedAppender struct {
	*appender
	due       chan time.Time
	latencies []float64 // µs; the receiver's
	err       error
}

// pace sends each append when it is due, and returns by how much each was late and the CPU time of the server.
func pace(ctx context.Context, p *process, all []*pacedAppender, warm, total int) (lateness []float64, used time.Duration, err error) {
	random := rand.New(rand.NewPCG(1, 2))
	began := time.Now()
	for i := range total {
		if i == warm {
			used = p.processorTime()
		}
		due := began.Add(time.Duration(i) * time.Second / appendRate)
		time.Sleep(time.Until(due)) //nolint:forbidigo // the rate is what is asked for
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		one, measured := all[i%len(all)], due
		if i < warm {
			measured = time.Time{}
		} else {
			lateness = append(lateness, microseconds(time.Since(due)))
		}
		one.due <- measured
		if err := one.sock.SetDeadline(time.Now().Add(patience)); err != nil {
			return nil, 0, err
		}
		if _, err := one.sock.Write(one.command(nil, 0, payload(random, 100))); err != nil {
			return nil, 0, err
		}
	}
	return lateness, p.processorTime() - used, nil
}

// receive reads the acknowledgements of all appends, in their order.
func (a *pacedAppender) receive() {
	b, acknowledged := make([]byte, 64<<10), 0
	for due := range a.due {
		for acknowledged == 0 && a.err == nil {
			var n int
			if n, a.err = a.sock.Read(b); a.err == nil {
				acknowledged, a.err = a.acknowledged(b[:n])
			}
		}
		acknowledged--
		if !due.IsZero() && a.err == nil {
			a.latencies = append(a.latencies, microseconds(time.Since(due)))
		}
	}
}

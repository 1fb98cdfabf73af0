package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The Zipf mix. Topics differ in how often they are published to, and in how many subscribers they have. Each connection
// publishes and subscribes. The loop is closed: a connection publishes its next message when all subscribers have the one
// before, and, over RESP, when its reply has come.
const (
	mixTopics      = 10_000
	mixConnections = 200
	mixSubscribers = 50  // subscribers of a topic, at most
	mixZipf        = 1.1 // exponent: about 15 % of the messages go to the first topic
	mixPayload     = 200 // bytes
)

// mix is one run. All connections of a run share it.
type mix struct {
	format  *mixFormat
	members [][]int // by topic: the connections that subscribe to it
	conns   []*mixConn
	began   time.Time // origin of all times
	start   atomic.Int64
	end     time.Duration

	publishing atomic.Int64  // connections that have not published their last message
	done       chan struct{} // closed when all have
	failed     chan error    // the first error of a connection
	reading    sync.WaitGroup
}

// notStarted is the start of the measured part before there is one.
const notStarted = int64(1<<63 - 1)

// mixMembers chooses the subscribers of each topic. They are the same in all runs, so that all servers have the same load.
func mixMembers(topics, connections, most int) [][]int {
	random := rand.New(rand.NewPCG(16, 1))
	members := make([][]int, topics)
	for t := range members {
		members[t] = random.Perm(connections)[:1+random.IntN(min(most, connections))]
	}
	return members
}

// mixed measures the mix against a server.
func mixed(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	return newMix(p, mixMembers(mixTopics, mixConnections, mixSubscribers), mixConnections).run(ctx, p, duration)
}

func newMix(p *process, members [][]int, connections int) *mix {
	m := &mix{
		format: newMixFormat(p.dialect), members: members, conns: make([]*mixConn, connections),
		done: make(chan struct{}), failed: make(chan error, 1),
	}
	m.start.Store(notStarted)
	for i := range m.conns {
		m.conns[i] = newMixConn(m, i)
	}
	for t, some := range members {
		for _, i := range some {
			m.conns[i].topics = append(m.conns[i].topics, t)
		}
	}
	return m
}

func (m *mix) run(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	defer m.reading.Wait()
	defer m.close()
	for _, c := range m.conns {
		if err := c.open(ctx, p.Address); err != nil {
			return nil, err
		}
	}
	warm := warmUp(duration)
	m.began, m.end = time.Now(), warm+duration
	m.publishing.Store(int64(len(m.conns)))
	for _, c := range m.conns {
		m.reading.Go(func() { m.fail(c.read()) })
	}
	for _, c := range m.conns {
		m.fail(c.publish())
	}
	if err := m.wait(ctx, time.After(warm), nil); err != nil {
		return nil, err
	}
	before, err := p.Usage()
	if err != nil {
		return nil, err
	}
	started := time.Since(m.began)
	m.start.Store(int64(started))
	if err := m.wait(ctx, time.After(duration+patience), m.done); err != nil {
		return nil, err
	}
	elapsed := time.Since(m.began) - started
	after, err := p.Usage()
	if err != nil {
		return nil, err
	}
	resident, err := p.Resident()
	if err != nil {
		return nil, err
	}
	return m.sample(elapsed, after-before, resident)
}

// wait waits for a time or, where done is given, for the end before it.
func (m *mix) wait(ctx context.Context, until <-chan time.Time, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-until:
		if done != nil {
			return fmt.Errorf("%d connections wait for deliveries of their last message", m.publishing.Load())
		}
		return nil
	case err := <-m.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fail reports an error of a connection. Those after the first are dropped, because it ends the run.
func (m *mix) fail(err error) {
	if err == nil {
		return
	}
	select {
	case m.failed <- err:
	default:
	}
}

// close ends the goroutines of all connections. The errors that they return then have no reader.
func (m *mix) close() {
	for _, c := range m.conns {
		c.close()
	}
}

// sample sums up what the connections have counted. Their goroutines still read, so the counts are final only because
// every message has arrived.
func (m *mix) sample(elapsed, used time.Duration, resident int64) (sample, error) {
	m.close()
	m.reading.Wait()
	var all []int32
	for _, c := range m.conns {
		all = append(all, c.latencies...)
	}
	if len(all) == 0 || used == 0 {
		return nil, errors.New("too little happened to be measured; take a longer --duration")
	}
	slices.Sort(all)
	at := func(share float64) float64 {
		return float64(all[int(share*float64(len(all)-1))]) * float64(mixTick.Nanoseconds()) / 1000
	}
	return sample{
		deliveries: float64(len(all)) / elapsed.Seconds(),
		cpu:        float64(used.Microseconds()) / float64(len(all)),
		p50:        at(0.5), p99: at(0.99), underLoad: mebibytes(resident),
	}, nil
}

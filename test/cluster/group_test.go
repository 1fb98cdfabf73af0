//go:build cluster

package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/conchmq/conch/client"
)

// jobs is the stream of the group.
const jobs = "s.jobs"

// group is two consumers that share a stream, on different nodes at first. Each entry comes at least once, and never again once its
// acknowledgement was answered.
type group struct {
	*load
	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu        sync.Mutex // guards the fields below
	acked     map[client.EntryID]string
	delivered int
	wrong     []error
}

func newGroup(l *load) *group {
	return &group{load: l, acked: map[client.EntryID]string{}, stop: func() {}}
}

func (g *group) begin() error {
	if err := g.clients[0].CreateGroup(context.Background(), "g", client.After(jobs, client.EntryID{})); err != nil {
		return err
	}
	g.start()
	return nil
}

// start starts the consumers.
func (g *group) start() {
	g.ctx, g.stop = context.WithCancel(context.Background())
	for i := range 2 {
		consumer := g.clients[i].Consumer(jobs, "g", fmt.Sprint("k", i), client.ConsumerOptions{Count: 5})
		g.tasks.Go(func() { g.consume(consumer) })
	}
}

// consume acknowledges all that comes.
func (g *group) consume(k *client.Consumer) {
	for g.ctx.Err() == nil {
		for d, err := range k.All(g.ctx) {
			if err != nil {
				if e := (*client.Error)(nil); errors.As(err, &e) && e.Code != client.CodeLoading && e.Code != client.CodeClusterDown {
					g.fail(fmt.Errorf("the group: %w", err))
				}
				break // the first connection may fail
			}
			g.take(k, d)
		}
		select {
		case <-time.After(longestPause):
		case <-g.ctx.Done():
		}
	}
}

func (g *group) take(k *client.Consumer, d *client.Delivery) {
	g.mu.Lock()
	g.delivered++
	if _, twice := g.acked[d.ID]; twice {
		g.wrong = append(g.wrong, fmt.Errorf("the entry %s was acknowledged, and was delivered again", d.ID))
	}
	g.mu.Unlock()
	// Not by g.ctx: the group may be empty for its server while the answer is on its way.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.ctx), time.Minute)
	defer cancel()
	if err := k.Ack(ctx, d.ID); err != nil {
		if g.ctx.Err() == nil {
			g.fail(fmt.Errorf("the acknowledgement of %s: %w", d.ID, err))
		}
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acked[d.ID] = idOf(d.Get("message"))
}

func (g *group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrong = append(g.wrong, err)
}

// awaitEmpty waits until the group has delivered all, and all is acknowledged.
func (g *group) awaitEmpty(n *node) error {
	frame := ""
	err := await("the group has acknowledged all", func() bool {
		frame, _ = n.request("XINFO", "GROUPS", jobs) // without a reply it is not empty
		return strings.Contains(frame, "pending\r\n:0\r\n") && strings.Contains(frame, "lag\r\n:0\r\n")
	})
	if err == nil {
		return nil
	}
	pending, _ := n.request("XPENDING", jobs, "g", "-", "+", "5") // to show it
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Errorf("%w: %q, %q; %w", err, frame, pending, errors.Join(g.wrong...))
}

func (g *group) end() {
	g.stop()
	g.tasks.Wait()
}

// check compares what was acknowledged with the entries of the stream. The consumers have ended.
func (g *group) check(entries map[client.EntryID]string) error {
	errs := g.wrong
	for id, text := range entries {
		if g.acked[id] != text {
			errs = append(errs, fmt.Errorf("the entry %s, %s, was acknowledged as %q", id, text, g.acked[id]))
		}
	}
	if len(g.acked) != len(entries) {
		errs = append(errs, fmt.Errorf("%d entries were acknowledged, and there are %d", len(g.acked), len(entries)))
	}
	return errors.Join(errs[:min(len(errs), 5)]...)
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// inMemory is a policy without a disk.
var inMemory = policy{"memory", "in memory", []contestant{
	{name: conchName, server: conchName, storing: &storing{arguments: func(port string) []string {
		return []string{"127.0.0.1:" + port, "--stream-memory", "512mb", "--log-level", "warn"}
	}}},
	{name: "redis", server: "redis", storing: &storing{arguments: func(port string) []string {
		return []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"}
	}}},
}}

// groupRuns are compared in a section of their own, without NATS: it has other commands.
func groupRuns() (all []scenario) {
	for _, count := range []int{1, 10, 100} {
		for _, consumers := range []int{1, 4, 16} {
			all = append(all, groupRun(eachSecond, consumers, count))
		}
	}
	for _, p := range []policy{always, inMemory} {
		for _, consumers := range []int{1, 16} {
			all = append(all, groupRun(p, consumers, 10))
		}
	}
	all = append(all, scenario{
		name: "claim", title: fmt.Sprintf("ms to claim %d idle entries of %d pending ones, in pieces of %d", idleEntries, pendingEntries, claimedTogether),
		group: true, who: eachSecond.storer[:2], figures: []figure{claiming, claimingCPU},
		own: claimIdle, goals: []goal{{claiming, "redis", 0.2, false}},
	})
	return append(all, durableRuns()...)
}

func groupRun(p policy, consumers, count int) scenario {
	return scenario{
		name:  fmt.Sprintf("groups-%d-%d-%s", consumers, count, p.name),
		title: fmt.Sprintf("XREADGROUP COUNT %d and XACK, consumers: %d, %s", count, consumers, p.title),
		group: true, who: p.storer[:2], figures: []figure{entries, entryCPU},
		own: sharing(consumers, count), goals: []goal{{entries, "redis", 1.5, true}},
	}
}

// sharing measures how consumers of a group share the entries of a stream: each reads some and acknowledges them, one command in
// flight. At the end of the stream the group begins again.
func sharing(consumers, count int) func(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	return func(ctx context.Context, p *process, duration time.Duration) (sample, error) {
		setup, err := dial(ctx, p.Address)
		if err != nil {
			return nil, err
		}
		defer setup.close()
		if err := preload(ctx, setup, "data"); err != nil {
			return nil, err
		}
		if _, err := setup.ask("XGROUP", "CREATE", "s", "g", "0"); err != nil {
			return nil, err
		}
		m := &appendMeter{process: p, warm: warmUp(duration), duration: duration}
		if err := m.share(ctx, consumers, count); err != nil {
			return nil, err
		}
		if m.acknowledged == 0 {
			return nil, errors.New("too little happened to be measured; take a longer --duration")
		}
		return sample{
			entries:  float64(m.acknowledged) / duration.Seconds(),
			entryCPU: float64(m.used.Microseconds()) / float64(m.acknowledged),
		}, nil
	}
}

// share runs consumers while the meter measures.
func (m *appendMeter) share(ctx context.Context, consumers, count int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, consumers)
	var tasks sync.WaitGroup
	for i := range consumers {
		tasks.Go(func() {
			defer cancel() // one that fails ends all
			errs[i] = consume(ctx, m.process.Address, fmt.Sprintf("c%d", i), count, &m.count)
		})
	}
	m.measure(ctx)
	cancel()
	tasks.Wait()
	return errors.Join(errs...)
}

// consume reads and acknowledges until ctx ends. total counts what was acknowledged.
func consume(ctx context.Context, address, name string, count int, total *atomic.Int64) error {
	w, err := dial(context.WithoutCancel(ctx), address)
	if err != nil {
		return err
	}
	defer w.close()
	w.command("XREADGROUP", "GROUP", "g", name, "COUNT", fmt.Sprint(count), "STREAMS", "s", ">")
	read := bytes.Clone(w.out)
	w.out = w.out[:0]
	var ids []string
	for ctx.Err() == nil {
		w.out = append(w.out, read...)
		if err := w.send(); err != nil {
			return err
		}
		if ids, err = w.groupEntries(ids[:0]); err != nil {
			return err
		}
		if len(ids) == 0 {
			if _, err := w.ask("XGROUP", "SETID", "s", "g", "0"); err != nil {
				return err
			}
			continue
		}
		w.command(append([]string{"XACK", "s", "g"}, ids...)...)
		if err := w.send(); err != nil {
			return err
		}
		n, err := w.answer()
		if err != nil {
			return err
		}
		total.Add(n)
	}
	return nil
}

const (
	pendingEntries  = 20_000
	idleEntries     = pendingEntries / 20
	claimedTogether = 100
	idleFor         = "60000" // milliseconds
)

// claimIdle measures how long it takes a consumer to find and claim what another one has had for too long. Each twentieth pending entry
// is idle. conch reads with CLAIM, Redis has XAUTOCLAIM.
func claimIdle(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	w, err := dial(ctx, p.Address)
	if err != nil {
		return nil, err
	}
	defer w.close()
	ids, err := w.makePending(ctx)
	if err != nil {
		return nil, err
	}
	claim := (*wire).autoClaim
	if p.storing.claims {
		claim = (*wire).readClaimed
	}
	var took []float64
	var used time.Duration
	for end := time.Now().Add(duration); len(took) == 0 || time.Now().Before(end); {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for i := 0; i < len(ids); i += pendingEntries / idleEntries {
			w.command("XCLAIM", "s", "g", "dead", "0", ids[i], "IDLE", idleFor, "JUSTID")
		}
		if err := w.send(); err != nil {
			return nil, err
		}
		if _, err := w.answers(idleEntries); err != nil {
			return nil, err
		}
		began, before := time.Now(), p.processorTime()
		n, err := claim(w)
		if err != nil {
			return nil, err
		}
		if n != idleEntries {
			return nil, fmt.Errorf("%d entries were claimed, and not %d", n, idleEntries)
		}
		took = append(took, float64(time.Since(began))/float64(time.Millisecond))
		used += p.processorTime() - before
	}
	return sample{
		claiming:    quantile(took, 0.5),
		claimingCPU: float64(used) / float64(time.Millisecond) / float64(len(took)),
	}, nil
}

// makePending fills the stream, and delivers the first entries to a consumer. The group has read the others too, so that none is new.
func (w *wire) makePending(ctx context.Context) (ids []string, err error) {
	if err := preload(ctx, w, "data"); err != nil {
		return nil, err
	}
	if _, err := w.ask("XGROUP", "CREATE", "s", "g", "0"); err != nil {
		return nil, err
	}
	for len(ids) < pendingEntries {
		w.command("XREADGROUP", "GROUP", "g", "dead", "COUNT", "1000", "STREAMS", "s", ">")
		if err := w.send(); err != nil {
			return nil, err
		}
		if ids, err = w.groupEntries(ids); err != nil {
			return nil, err
		}
	}
	_, err = w.ask("XGROUP", "SETID", "s", "g", "$")
	return ids, err
}

// readClaimed claims by XREADGROUP until nothing is left.
func (w *wire) readClaimed() (total int, err error) {
	for {
		w.command("XREADGROUP", "GROUP", "g", "heir", "COUNT", fmt.Sprint(claimedTogether), "CLAIM", "30000", "STREAMS", "s", ">")
		if err := w.send(); err != nil {
			return total, err
		}
		ids, err := w.groupEntries(nil)
		if err != nil || len(ids) == 0 {
			return total, err
		}
		total += len(ids)
	}
}

// autoClaim claims by XAUTOCLAIM up to the end of what is pending.
func (w *wire) autoClaim() (total int, err error) {
	for from := "0-0"; ; {
		w.command("XAUTOCLAIM", "s", "g", "heir", "30000", from, "COUNT", fmt.Sprint(claimedTogether))
		if err := w.send(); err != nil {
			return total, err
		}
		if _, err := w.line(); err != nil { // of the array of three
			return total, err
		}
		if from, err = w.bulk(); err != nil {
			return total, err
		}
		ids, err := w.entryIDs(nil)
		if err != nil {
			return total, err
		}
		total += len(ids)
		if _, err := w.answer(); err != nil || from == "0-0" {
			return total, err
		}
	}
}

// groupEntries reads a reply to XREADGROUP, and appends the ids of its entries; none for a null.
func (w *wire) groupEntries(ids []string) ([]string, error) {
	for _, want := range []string{"*1", "*2", "$1", "s"} {
		line, err := w.line()
		if err != nil || line == "*-1" {
			return ids, err
		}
		if line != want {
			return ids, fmt.Errorf("%.100q is no reply to XREADGROUP", line)
		}
	}
	return w.entryIDs(ids)
}

// entryIDs reads an array of entries of any number of elements, and appends their ids.
func (w *wire) entryIDs(ids []string) ([]string, error) {
	n, err := w.header('*')
	for ; n > 0 && err == nil; n-- {
		var elements int
		if elements, err = w.header('*'); err != nil {
			break
		}
		var id string
		if id, err = w.bulk(); err != nil {
			break
		}
		ids = append(ids, id)
		_, err = w.answers(elements - 1)
	}
	return ids, err
}

func (w *wire) bulk() (string, error) {
	if _, err := w.header('$'); err != nil {
		return "", err
	}
	return w.line()
}

// header reads a line that has a number behind its first byte.
func (w *wire) header(kind byte) (n int, err error) {
	line, err := w.line()
	if err != nil {
		return 0, err
	}
	if line != "" && line[0] == kind {
		if n, err = strconv.Atoi(line[1:]); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%.100q stands in the place of a header with %c", line, kind)
}

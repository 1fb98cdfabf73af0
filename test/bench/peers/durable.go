package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/conchmq/conch/internal/bench"
)

// plainName is conch without a log: publishes to durable topics are compared with its own plain ones.
const plainName = "conch plain"

// storingDurable is conch with all topics durable.
func storingDurable(port string) []string {
	return append(storingConch("1s")(port), "--durable", "*")
}

// durableRuns stand behind those of groups.
func durableRuns() []scenario {
	durable := contestant{name: conchName, server: conchName, dialect: bench.RESP2, storing: &storing{arguments: storingDurable}}
	plain := contestant{name: plainName, server: conchName, dialect: bench.RESP2}
	return []scenario{
		{
			name: "replay", title: "what is kept of a topic to a subscriber; in Redis XREAD COUNT " + readCount + ", 100 B", group: true,
			who: []contestant{durable, eachSecond.storer[1]}, figures: []figure{entries, entryCPU},
			own: replaying, goals: []goal{{entries, "redis", 2, true}},
		},
		{
			name: "durable", title: "1 → 1, 64 publishes a write, durable with " + eachSecond.title, group: true,
			who: []contestant{durable, plain}, figures: []figure{deliveries, cpu}, load: load(bench.Load{Publishers: 1, Subscribers: 1}),
			goals: []goal{{deliveries, plainName, 0.5, true}},
		},
	}
}

// replaying measures how the past of a topic comes to a subscriber of conch, again and again; from Redis a client reads it by XREAD.
func replaying(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	if p.storing.arguments("")[0] == "--bind" {
		return readingFromStart("XREAD")(ctx, p, duration)
	}
	w, err := dial(ctx, p.Address)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := preload(ctx, w, "message"); err != nil {
		return nil, err
	}
	if _, err := replayFor(ctx, p.Address, warmUp(duration)); err != nil {
		return nil, err
	}
	began, before := time.Now(), p.processorTime()
	count, err := replayFor(ctx, p.Address, duration)
	if err != nil {
		return nil, err
	}
	used, took := p.processorTime()-before, time.Since(began)
	return sample{entries: float64(count) / took.Seconds(), entryCPU: float64(used.Microseconds()) / float64(count)}, nil
}

// replayFor subscribes from the first entry on until the time is over, and returns how many messages came. Each pass is a connection.
func replayFor(ctx context.Context, address string, duration time.Duration) (count int, err error) {
	for end := time.Now().Add(duration); time.Now().Before(end); {
		n, err := replayOnce(ctx, address, end)
		if err != nil {
			return 0, err
		}
		count += n
	}
	if count == 0 {
		return 0, errors.New("nothing was replayed")
	}
	return count, nil
}

func replayOnce(ctx context.Context, address string, end time.Time) (count int, err error) {
	w, err := dial(ctx, address)
	if err != nil {
		return 0, err
	}
	defer w.close()
	if _, err := w.ask("PSUBSCRIBE", "s FROM 0"); err != nil {
		return 0, err
	}
	for ; count < preloaded && time.Now().Before(end); count += replayChunk {
		if err := w.messages(replayChunk); err != nil {
			return 0, err
		}
	}
	return count, ctx.Err()
}

const replayChunk = 1000

// messages reads so many messages of a pattern, whose payloads are one line each.
func (w *wire) messages(n int) error {
	const linesOfMessage = 9
	for range n {
		for i := range linesOfMessage {
			line, err := w.in.ReadSlice('\n')
			if err != nil {
				return err
			}
			if i == 0 && string(line) != "*4\r\n" {
				return fmt.Errorf("%.100q is no message", line)
			}
		}
	}
	return nil
}

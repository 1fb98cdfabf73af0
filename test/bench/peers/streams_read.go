package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	preloaded = 300_000 // entries of the stream that is read
	readCount = "1000"  // entries of one reply
)

// readingFromStart measures how entries are read by a command, one reply after the other, from the first to the last entry and then
// again.
func readingFromStart(verb string) func(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	return func(ctx context.Context, p *process, duration time.Duration) (sample, error) {
		w, err := dial(ctx, p.Address)
		if err != nil {
			return nil, err
		}
		defer w.close()
		if err := preload(ctx, w, "data"); err != nil {
			return nil, err
		}
		if _, err := w.readFor(ctx, verb, warmUp(duration)); err != nil {
			return nil, err
		}
		began, before := time.Now(), p.processorTime()
		count, err := w.readFor(ctx, verb, duration)
		if err != nil {
			return nil, err
		}
		used, took := p.processorTime()-before, time.Since(began)
		return sample{
			entries: float64(count) / took.Seconds(), entryCPU: float64(used.Microseconds()) / float64(count),
		}, nil
	}
}

// preload fills the stream s, with entries of one field.
func preload(ctx context.Context, w *wire, field string) error {
	random := rand.New(rand.NewPCG(3, 4))
	for range preloaded / 1000 {
		for range 1000 {
			w.command("XADD", "s", "*", field, payload(random, 100))
		}
		if err := w.send(); err != nil {
			return err
		}
		if _, err := w.answers(1000); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// readFor reads replies until the time is over, and returns how many entries they had.
func (w *wire) readFor(ctx context.Context, verb string, duration time.Duration) (count int, err error) {
	last := "0-0"
	for end := time.Now().Add(duration); time.Now().Before(end); {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if verb == "XREAD" {
			w.command("XREAD", "COUNT", readCount, "STREAMS", "s", last)
		} else {
			w.command("XRANGE", "s", "("+last, "+", "COUNT", readCount)
		}
		if err := w.send(); err != nil {
			return 0, err
		}
		n, id, err := w.readEntries(verb == "XREAD")
		if err != nil {
			return 0, err
		}
		if count, last = count+n, id; n == 0 {
			last = "0-0"
		}
	}
	if count == 0 {
		return 0, errors.New("nothing was read")
	}
	return count, nil
}

// readEntries reads a reply of entries with one field, and returns their number and the last id. The reply to XREAD has the name of the stream in
// front of them, or is a null.
func (w *wire) readEntries(xread bool) (count int, last string, err error) {
	if xread {
		for _, want := range []string{"*1", "*2", "$1", "s"} {
			line, err := w.line()
			if err != nil {
				return 0, "", err
			}
			if line == "*-1" {
				return 0, "", nil
			}
			if line != want {
				return 0, "", fmt.Errorf("%.100q is no reply to XREAD", line)
			}
		}
	}
	head, err := w.line()
	if err != nil {
		return 0, "", err
	}
	if count, err = strconv.Atoi(strings.TrimPrefix(head, "*")); err != nil {
		return 0, "", fmt.Errorf("%.100q is no reply of entries", head)
	}
	const linesOfEntry, idLine = 8, 2
	for i := range count * linesOfEntry {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return 0, "", err
		}
		if i == (count-1)*linesOfEntry+idLine {
			last = strings.TrimSpace(string(line))
		}
	}
	if count > 0 && !strings.Contains(last, "-") {
		return 0, "", fmt.Errorf("%.100q is no id", last)
	}
	return count, last, nil
}

func (w *wire) line() (string, error) {
	line, err := w.in.ReadSlice('\n')
	return strings.TrimSpace(string(line)), err
}

// quantile sorts values and returns one of them.
func quantile(values []float64, q float64) float64 {
	slices.Sort(values)
	return values[int(q*float64(len(values)-1))]
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

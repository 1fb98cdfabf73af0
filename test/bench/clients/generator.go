package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// generatorVerb makes this program be the generator of one measurement, so that CPU time and allocations are those of
// one library and one load.
const generatorVerb = "be-the-generator"

// order is what a generator is told.
type order struct {
	Address       string
	Scenario, Way string
	Connections   int
	Duration      time.Duration
}

// answer is what it tells.
type answer struct {
	Sample    sample
	Published int64 // messages in all, with those before the measured part
}

// beGenerator is the generator's whole life. Whoever started it ends it if that takes too long.
func beGenerator(args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("%s is for this program alone", generatorVerb)
	}
	var o order
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == o.Scenario })
	if i < 0 {
		return fmt.Errorf("there is no scenario %q", o.Scenario)
	}
	s := scenarios[i]
	i = slices.IndexFunc(s.ways, func(w way) bool { return w.name == o.Way })
	if i < 0 {
		return fmt.Errorf("%s has no way %q", s.name, o.Way)
	}
	got, err := generate(&s.ways[i], load{o.Connections, s.size, s.depth}, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(got)
}

// generate connects, publishes for a while to warm up, and then measures.
func generate(w *way, l load, o order) (got answer, err error) {
	lib, err := w.open(o.Address, l)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, lib.close()) }()
	g := newGenerator(lib, l.depth)
	warm, err := g.publish(o.Duration / 4)
	if err != nil {
		return got, err
	}
	g.forget()
	runtime.GC() // what was made to begin with is no cost of a message
	before := take()
	measured, err := g.publish(o.Duration)
	if err != nil {
		return got, err
	}
	got = answer{Sample: before.cost(take(), measured), Published: warm + measured}
	if !w.stream {
		got.Sample[p50], got.Sample[p99] = g.latency(50), g.latency(99)
	}
	used, err := connected(o.Address)
	if err == nil && used > l.connections {
		err = fmt.Errorf("%d connections in use, and not %d", used, l.connections)
	}
	got.Sample[connections] = float64(used)
	return got, err
}

// generator is the goroutines that publish.
type generator struct {
	lib       library
	depth     int64
	senders   []sender
	latencies []*hdrhistogram.Histogram // of each sender, in ns
}

func newGenerator(lib library, depth int) *generator {
	g := &generator{lib: lib, depth: int64(depth)}
	for i := range goroutines {
		g.senders = append(g.senders, lib.sender(i))
		g.latencies = append(g.latencies, hdrhistogram.New(1, int64(time.Minute), 2))
	}
	return g
}

// publish lets all goroutines publish for a time, and returns how many messages that were, when all are acknowledged.
func (g *generator) publish(d time.Duration) (int64, error) {
	var (
		over    atomic.Bool
		calls   atomic.Int64
		errs    = make([]error, len(g.senders))
		running sync.WaitGroup
	)
	for i, send := range g.senders {
		running.Go(func() {
			// Each sends once at least, however late it comes to run: so nothing that fails goes by unseen.
			n := int64(0)
			for first := true; first || !over.Load(); first = false {
				start := time.Now()
				if errs[i] = send(); errs[i] != nil {
					break
				}
				_ = g.latencies[i].RecordValue(int64(min(time.Since(start), time.Minute))) // it is in range
				n++
			}
			calls.Add(n)
		})
	}
	end := time.AfterFunc(d, func() { over.Store(true) })
	running.Wait()
	end.Stop()
	return calls.Load() * g.depth, cmp.Or(append(errs, g.lib.flush())...)
}

func (g *generator) forget() {
	for _, h := range g.latencies {
		h.Reset()
	}
}

// latency is a percentile of how long one call took, in µs.
func (g *generator) latency(percent float64) float64 {
	all := hdrhistogram.New(1, int64(time.Minute), 2)
	for _, h := range g.latencies {
		all.Merge(h)
	}
	return float64(all.ValueAtPercentile(percent)) / float64(time.Microsecond)
}

// meter is what the process has used up to one moment.
type meter struct {
	at          time.Time
	cpu         time.Duration
	allocations uint64
	bytes       uint64
}

func take() meter {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // fails for no argument like these
	cpu := time.Duration(r.Utime.Nano() + r.Stime.Nano())
	return meter{at: time.Now(), cpu: cpu, allocations: m.Mallocs, bytes: m.TotalAlloc}
}

// cost is what lies between two moments, for each of n messages.
func (m meter) cost(end meter, n int64) sample {
	each := float64(max(n, 1))
	return sample{
		rate:        float64(n) / end.at.Sub(m.at).Seconds(),
		cpu:         float64(end.cpu-m.cpu) / float64(time.Microsecond) / each,
		allocations: float64(end.allocations-m.allocations) / each,
		volume:      float64(end.bytes-m.bytes) / each,
	}
}

package main

import (
	"context"
	"slices"
	"time"

	"github.com/conchmq/conch/internal/bench"
	"github.com/conchmq/conch/test/bench/servers"
)

// scenario is one row of the comparison.
type scenario struct {
	name    string // for --only
	title   string
	figures []figure
	goals   []goal
	who     []contestant

	ordinary bool // one of the loads in the section at the top
	web      bool // one of those of pages
	streams  bool // one of those of streams
	group    bool // one of those of consumer groups
	large    bool // servers must accept messages of 16 MiB

	// One of the two. A load is measured by the generator of conch bench; longer multiplies its duration, where so
	// little happens that the ticks of 10 ms in which the kernel counts CPU time would show.
	load   *bench.Load
	longer int
	own    func(ctx context.Context, p *process, duration time.Duration) (sample, error)
}

// contestant is a server in a dialect.
type contestant struct {
	name    string // conch is judged, relay is the baseline, resp is conch's own other dialect; all others are peers
	server  string // in package servers
	dialect bench.Dialect
	web     *web     // in place of the dialect, in the scenarios of pages
	storing *storing // in those of streams
}

// arguments are those of the server for this contestant; nil for those that it has anyway.
func (c contestant) arguments() func(port string) []string {
	switch {
	case c.web != nil:
		return c.web.arguments
	case c.storing != nil:
		return c.storing.arguments
	}
	return nil
}

const (
	conchName = servers.Conch
	relayName = "relay"
	respName  = "conch RESP"
)

var (
	conch  = contestant{name: conchName, server: conchName, dialect: bench.RESP2}
	redis  = contestant{name: "redis", server: "redis", dialect: bench.RESP2}
	valkey = contestant{name: "valkey", server: "valkey", dialect: bench.RESP2}
	nats   = contestant{name: "nats", server: "nats", dialect: bench.NATS}
	relay  = contestant{name: relayName, server: relayName, dialect: bench.Raw}

	everybody  = []contestant{conch, redis, valkey, nats, relay}
	brokers    = []contestant{conch, redis, valkey, nats}
	redisAlike = []contestant{conch, redis, valkey} // for what is asked in Redis' own commands
)

var (
	throughput = []figure{deliveries, p99, cpu}
	latency    = []figure{p50, p99, late, cpu}
	growing    = []figure{few, many, growth}
)

const size = 64 // bytes of payload, where nothing else is said

// scenarios are the ordinary loads, then the others, then those of pages, of streams and of groups.
var scenarios = slices.Concat(ordinary, runs, webRuns, streamRuns(), groupRuns())

// runs are compared in this order. The relay knows no topics and sends no schedule, so it takes part where there
// is one topic and no rate.
var runs = []scenario{
	{
		name: "1-1", title: "1 → 1", figures: throughput, who: everybody,
		load:  load(bench.Load{Publishers: 1, Subscribers: 1}),
		goals: []goal{atLeast(4), ofRelay(0.5), atMost(cpu, 0.30)},
	},
	{
		name: "4-1", title: "4 → 1", figures: throughput, who: everybody,
		load:  load(bench.Load{Publishers: 4, Subscribers: 1}),
		goals: []goal{atLeast(4), atMost(cpu, 0.30)},
	},
	{
		name: "1-100", title: "1 → 100", figures: throughput, who: everybody,
		load:  load(bench.Load{Publishers: 1, Subscribers: 100}),
		goals: []goal{atLeast(8), ofRelay(1), atMost(cpu, 0.12)},
	},
	{
		name: "1-1000", title: "1 → 1000", figures: throughput, who: everybody,
		load:  load(bench.Load{Publishers: 1, Subscribers: 1000}),
		goals: []goal{atLeast(6), atMost(cpu, 0.12)},
	},
	{
		name: "topics", title: "4 → 1 over 100 topics in turn", figures: throughput, who: brokers,
		load:  load(bench.Load{Publishers: 4, Subscribers: 1, Topics: 100}),
		goals: []goal{atLeast(2.5), atMost(cpu, 0.33)},
	},
	{
		name: "8-1-single", title: "8 → 1, one command a write", figures: throughput, who: everybody,
		load:  load(bench.Load{Publishers: 8, Subscribers: 1, Pipeline: 1}),
		goals: []goal{atLeast(1.3), atMost(cpu, 0.70)},
	},
	{
		name: "1-1-single", title: "1 → 1, one command a write", figures: throughput, who: everybody,
		load:  load(bench.Load{Publishers: 1, Subscribers: 1, Pipeline: 1}),
		goals: []goal{atLeast(1), atMost(cpu, 1)},
	},
	{
		name: "16KiB", title: "1 → 1, 16 KiB", figures: throughput, who: everybody,
		load:  load(bench.Load{Publishers: 1, Subscribers: 1, Size: bench.Range{Min: 16 << 10, Max: 16 << 10}}),
		goals: []goal{atLeast(1.2), ofRelay(0.9), atMost(cpu, 0.85)},
	},
	paced("paced-1-1", "5,000/s, 1 → 1", bench.Load{Publishers: 1, Subscribers: 1, Rate: 5000}),
	paced("paced-1-100", "500/s, 1 → 100", bench.Load{Publishers: 1, Subscribers: 100, Rate: 500}),
	paced("paced-4-4", "20,000/s, 4 → 4", bench.Load{Publishers: 4, Subscribers: 4, Rate: 20000}),
	{
		name: "line", title: "line dialect, 1 → 1", figures: throughput,
		who:   []contestant{{name: conchName, server: conchName, dialect: bench.Line}, {name: respName, server: conchName, dialect: bench.RESP2}},
		load:  load(bench.Load{Publishers: 1, Subscribers: 1}),
		goals: []goal{{figure: deliveries, against: respName, want: 0.8, least: true}},
	},
	{
		name: "idle", title: "memory, 9,000 idle subscribed connections", figures: []figure{memory}, who: brokers,
		own: idleMemory, goals: []goal{absolute(memory, 5)},
	},
	{
		name: "patterns", title: "CPU µs/publish at 10 and at 10,000 patterns, one matching", figures: growing,
		who: redisAlike, own: patternCost, goals: []goal{absolute(growth, 2)},
	},
	{
		name: "churn", title: "CPU µs/subscribe and unsubscribe at 100 and at 100,000 topics", who: redisAlike,
		figures: []figure{few, many, growth, fewRate, manyRate}, own: churnCost, goals: []goal{absolute(growth, 2)},
	},
	{
		name: "leaving", title: "ms for 1,000 clients of 100 topics to leave, beside 0 and beside 100,000 topics",
		figures: growing, who: redisAlike, own: leavingTime, goals: []goal{absolute(growth, 2)},
	},
}

// load fills in what most loads have in common.
func load(l bench.Load) *bench.Load {
	if l.Size.Max == 0 {
		l.Size = bench.Range{Min: size, Max: size}
	}
	if l.Pipeline == 0 {
		l.Pipeline = 64
	}
	if l.Topics == 0 {
		l.Topics = 1
	}
	return &l
}

func paced(name, title string, l bench.Load) scenario {
	return scenario{
		name: name, title: title, figures: latency, who: brokers, load: load(l), longer: 3,
		goals: []goal{atMost(p99, 1.15), atMost(cpu, 1.2)},
	}
}

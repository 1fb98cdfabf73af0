package main

import (
	"github.com/conchmq/conch/internal/bench"
)

// ordinary are the loads of most applications: many topics with a few subscribers each, and each message in a write of
// its own. They have a section of their own in the document.
var ordinary = []scenario{
	ordinaryLoad("rooms", "20 → 100 topics × 10, one command a write", 1.4, 1,
		bench.Load{Publishers: 20, Subscribers: 1000, Topics: 100, Pipeline: 1}),
	ordinaryLoad("devices", "20 → 200 topics × 1, one command a write", 1.4, 0.7,
		bench.Load{Publishers: 20, Subscribers: 200, Topics: 200, Pipeline: 1}),
	ordinaryLoad("topics-64", "4 → 100 topics × 1, 64 commands a write", 1.8, 0.45,
		bench.Load{Publishers: 4, Subscribers: 100, Topics: 100}),
	{
		name: "zipf", title: "Zipf mix of 10,000 topics, 200 connections", ordinary: true, figures: ordinaryFigures, who: mixing,
		own: mixed, goals: ordinaryGoals(1.4, 1),
	},
	{
		name: "neighbor", title: "2,000/s, 1 → 1, beside 10 MB messages to 10", ordinary: true, who: brokers, own: besideNeighbor,
		longer: 5, large: true, figures: []figure{p50, p99, p999, lateTail, neighborRate, underLoad, afterwards},
		goals: append([]goal{{p999, redis.name, 0.5, false}}, memoryGoals...),
	},
}

var (
	ordinaryFigures = []figure{deliveries, p99, cpu, underLoad, afterwards}
	memoryGoals     = []goal{{underLoad, redis.name, 2, false}, {afterwards, redis.name, 2, false}}

	// mixing are those whose connections publish and subscribe at once: with RESP2, a subscribed connection of Redis
	// cannot publish.
	mixing = []contestant{
		{name: conchName, server: conchName, dialect: bench.RESP3}, {name: "redis", server: "redis", dialect: bench.RESP3}, {name: "valkey", server: "valkey", dialect: bench.RESP3}, nats,
	}
)

func ordinaryLoad(name, title string, rate, cost float64, l bench.Load) scenario {
	l.Spread = true
	return scenario{
		name: name, title: title, ordinary: true, figures: ordinaryFigures, who: brokers, load: load(l),
		goals: ordinaryGoals(rate, cost),
	}
}

func ordinaryGoals(rate, cost float64) []goal {
	return append([]goal{atLeast(rate), atMost(cpu, cost)}, memoryGoals...)
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

package main

import (
	"context"
	"fmt"
	"time"
)

// figure is one thing that is measured, by the name under which it is shown.
type figure string

const (
	rate           figure = "publishes/s"
	cpuPublish     figure = "CPU µs/publish, all nodes"
	p50            figure = "p50 ms"
	p99            figure = "p99 ms"
	late           figure = "sent late, p99 ms" // by the generator itself: a latency below it is that of the generator
	failoverMedian figure = "median ms"
	failoverWorst  figure = "worst ms"
	kills          figure = "kills"
	cpuDelivery    figure = "CPU µs/delivery, all nodes"
	deliveryRate   figure = "deliveries/s"
	caughtUp       figure = "seconds until it serves"
	refused        figure = "connections refused meanwhile"
	loading        figure = "LOADING or CLUSTERDOWN meanwhile"
	longestWait    figure = "longest wait of a client there, s"
	stale          figure = "stale answers"
	aloneP50       figure = "p50 ms at the others, before"
	aloneP99       figure = "p99 ms at the others, before"
	meanwhileP50   figure = "p50 ms at the others, meanwhile"
	meanwhileP99   figure = "p99 ms at the others, meanwhile"
)

// sample is what one measurement of one system yields.
type sample map[figure]float64

// measurement measures a system that has just started.
type measurement func(ctx context.Context, g *group, o *options) (sample, error)

// scenario is a load, and who carries it.
type scenario struct {
	name, title string
	systems     []system
	figures     []figure
	measure     measurement
	once        bool // it is long, and is not repeated
	goals       []goal
}

// goal is what three nodes of conch set out to reach.
type goal struct {
	figure  figure
	against string // a system; empty: the figure itself is judged
	want    float64
	least   bool // at least, else at most
}

// String is the goal as the tables show it: ≥ 3.00× JetStream R3, default.
func (g goal) String() string {
	sign := "≤"
	if g.least {
		sign = "≥"
	}
	if g.against == "" {
		return fmt.Sprintf("%s %g", sign, g.want)
	}
	return fmt.Sprintf("%s %.2f× %s", sign, g.want, g.against)
}

func throughputGoals() []goal {
	return []goal{{rate, natsAlways, 10, true}, {rate, natsThree, 3, true}}
}

var scenarios = []scenario{
	{
		name: "durable", title: "4 publishers to durable topics, 64 B, pipelined", systems: []system{three, one, jetAlways, jetStream},
		figures: []figure{rate, cpuPublish}, measure: throughput(publishForm), goals: throughputGoals(),
	},
	{
		name: "xadd", title: "4 connections append by XADD, 64 B, pipelined", systems: []system{three, one, jetAlways, jetStream},
		figures: []figure{rate, cpuPublish}, measure: throughput(xaddForm), goals: throughputGoals(),
	},
	{
		name: "paced", title: "2,000 publishes/s to durable topics, 64 B", systems: []system{three, one, jetAlways, jetStream},
		figures: []figure{p50, p99, late}, measure: paced, goals: []goal{{p50, natsAlways, 1, false}, {p99, natsAlways, 1, false}},
	},
	{
		name: "failover", title: "kill -9 of the leader until the next answered publish", systems: []system{three}, once: true,
		figures: []figure{failoverMedian, failoverWorst, kills}, measure: failover,
		goals: []goal{{failoverMedian, "", 1500, false}, {failoverWorst, "", 3000, false}},
	},
	{
		name: "fan-out", title: "1,000/s to 300 subscribers at each node, 64 B, plain topic", systems: []system{three, oneInMemory},
		figures: []figure{cpuDelivery, deliveryRate}, measure: fanOut, goals: []goal{{cpuDelivery, conchOne, 1.2, false}},
	},
	{
		name: "behind", title: "a node that was away comes back", systems: []system{three}, once: true,
		figures: []figure{caughtUp, refused, loading, longestWait, stale, aloneP50, aloneP99, meanwhileP50, meanwhileP99}, measure: behind,
		goals: []goal{{stale, "", 0, false}},
	},
}

// longest bounds one measurement, so that a server that hangs does not hang all.
const longest = 20 * time.Minute

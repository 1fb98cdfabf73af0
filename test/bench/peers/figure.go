package main

import "fmt"

// figure is one thing that is measured, by the name under which it is shown.
type figure string

const (
	deliveries figure = "deliveries/s"
	cpu        figure = "CPU µs/delivery"
	p50        figure = "p50 µs"
	p99        figure = "p99 µs"
	p999       figure = "p99.9 µs"
	late       figure = "sent late, p99 µs" // by the generator itself: a latency below it says nothing of the server
	lateTail   figure = "sent late, p99.9 µs"
	underLoad  figure = "MiB resident under load"
	afterwards figure = "MiB resident a minute later"
	memory     figure = "KiB/connection"
	few        figure = "few"    // of what may exist beside what is used: CPU µs or ms for each use, see the scenario
	many       figure = "many"   // the same with many
	fewRate    figure = "few/s"  // uses a second
	manyRate   figure = "many/s" // the same with many
	growth     figure = "many/few"

	appends   figure = "appends/s"
	appendCPU figure = "CPU µs/append"
	entries   figure = "entries/s"
	entryCPU  figure = "CPU µs/entry"

	claiming    figure = "ms"
	claimingCPU figure = "CPU ms"

	neighborRate figure = "MB/s to the neighbor's subscribers"
)

// words are what an axis shows.
func (f figure) words() string {
	switch f {
	case deliveries:
		return "messages delivered per second"
	case cpu:
		return "CPU time of the server per delivery, in microseconds"
	case p99:
		return "99th percentile of latency, in microseconds"
	case underLoad:
		return "resident memory of the server at the end of the load, in MiB"
	}
	return string(f)
}

// higher tells whether more of it is better.
func (f figure) higher() bool {
	return f == deliveries || f == fewRate || f == manyRate || f == neighborRate || f == appends || f == entries
}

// better is the better one of two values.
func (f figure) better(a, b float64) float64 {
	if f.higher() {
		return max(a, b)
	}
	return min(a, b)
}

// sample is what one measurement of one contestant yields.
type sample map[figure]float64

func times(v float64) string { return fmt.Sprintf("%.2f×", v) }

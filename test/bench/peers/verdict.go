package main

import (
	"fmt"
	"math"

	"github.com/conchmq/conch/test/bench/median"
	"github.com/conchmq/conch/test/bench/page"
)

// goal is what conch set out to reach in one figure of a scenario.
type goal struct {
	figure  figure
	against string // bestPeer, a contestant's name, or nothing when the figure itself is judged
	want    float64
	least   bool // at least, else at most
}

const bestPeer = "the best peer"

func atLeast(want float64) goal          { return goal{deliveries, bestPeer, want, true} }
func atMost(f figure, want float64) goal { return goal{f, bestPeer, want, false} }
func ofRelay(want float64) goal          { return goal{deliveries, relayName, want, true} }
func absolute(f figure, want float64) goal {
	return goal{figure: f, want: want}
}

// String is the goal as the tables show it: ≥ 4.00× the best peer.
func (g goal) String() string {
	sign := "≤"
	if g.least {
		sign = "≥"
	}
	switch g.against {
	case "":
		return fmt.Sprintf("%s %s", sign, g.show(g.want))
	case relayName:
		return fmt.Sprintf("%s %s of the relay", sign, g.show(g.want))
	}
	return fmt.Sprintf("%s %s %s", sign, g.show(g.want), g.against)
}

// show is a value in the goal's unit.
func (g goal) show(v float64) string {
	switch {
	case g.against == relayName:
		return fmt.Sprintf("%.0f %%", 100*v)
	case g.against == "" && g.figure == memory:
		return page.Number(v) + " KiB"
	}
	return times(v)
}

// outcome is one contestant's measurement in one round of one scenario: a sample, or why there is none.
type outcome struct {
	Scenario   string
	Contestant string
	Round      int
	Sample     sample `json:",omitempty"`
	Error      string `json:",omitempty"`
}

// outcomes are those of one scenario.
type outcomes []outcome

// values of one figure of one contestant, one for each round that has it.
func (o outcomes) values(contestant string, f figure) (all []float64) {
	for _, one := range o {
		if v, ok := one.Sample[f]; ok && one.Contestant == contestant {
			all = append(all, v)
		}
	}
	return all
}

// median of one figure of one contestant over its rounds, NaN when it has none.
func (o outcomes) median(contestant string, f figure) float64 {
	return median.Of(o.values(contestant, f))
}

// best is the peer with the best median, and that median; the relay and conch are no peers. Of equal ones it is the
// first in the alphabet.
func (o outcomes) best(f figure) (v float64, name string) {
	v = math.NaN()
	for _, one := range o {
		got := o.median(one.Contestant, f)
		if !isPeer(one.Contestant) || math.IsNaN(got) {
			continue
		}
		if name == "" || got != v && f.better(got, v) == got || got == v && one.Contestant < name {
			v, name = got, one.Contestant
		}
	}
	return v, name
}

func isPeer(name string) bool { return name != conchName && name != relayName && name != respName }

// verdict is a goal held against what was measured.
type verdict struct {
	goal
	Value float64 // a ratio, or the figure itself; NaN when it could not be measured
	Peer  string  // the best peer, when that is what conch is held against
	Met   bool
}

// judge divides conch's median by that of what the goal names. Each is over all rounds, as the tables show it.
func (o outcomes) judge(g goal) verdict {
	v := verdict{goal: g, Value: o.median(conchName, g.figure)}
	switch g.against {
	case "":
	case bestPeer:
		var other float64
		other, v.Peer = o.best(g.figure)
		v.Value /= other
	default:
		v.Value /= o.median(g.against, g.figure)
	}
	if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
		v.Value, v.Peer = math.NaN(), ""
	}
	v.Met = v.Value <= g.want
	if g.least {
		v.Met = v.Value >= g.want
	}
	return v
}

// word says how it ended.
func (v verdict) word() string {
	switch {
	case math.IsNaN(v.Value):
		return "not measured"
	case v.Met:
		return "met"
	}
	return "not met"
}

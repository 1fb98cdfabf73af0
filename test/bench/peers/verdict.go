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

// median of one figure of one contestant over its rounds, NaN when it has none.
func (o outcomes) median(contestant string, f figure) float64 {
	var values []float64
	for _, one := range o {
		if v, ok := one.Sample[f]; ok && one.Contestant == contestant {
			values = append(values, v)
		}
	}
	return median.Of(values)
}

// best is the best peer's value in one round, and that peer's name; the relay and conch are no peers.
func (o outcomes) best(round int, f figure) (v float64, name string) {
	v = math.NaN()
	for _, one := range o {
		got, ok := one.Sample[f]
		if !ok || one.Round != round || !isPeer(one.Contestant) {
			continue
		}
		if name == "" || f.better(got, v) != v {
			v, name = got, one.Contestant
		}
	}
	return v, name
}

func isPeer(name string) bool { return name != conchName && name != relayName && name != respName }

// value is one contestant's in one round.
func (o outcomes) value(contestant string, round int, f figure) (float64, bool) {
	for _, one := range o {
		if v, ok := one.Sample[f]; ok && one.Contestant == contestant && one.Round == round {
			return v, true
		}
	}
	return 0, false
}

// verdict is a goal held against what was measured.
type verdict struct {
	goal
	Value float64 // a ratio, or the figure itself; NaN when it could not be measured
	Peer  string  // the peer that was the best most often, when that is what conch is held against
	Met   bool
}

// judge takes the ratio within each round, where the machine was the same for both, and then the median of the ratios.
func (o outcomes) judge(g goal) verdict {
	var ratios []float64
	wins := map[string]int{}
	for _, round := range o.rounds() {
		own, ok := o.value(conchName, round, g.figure)
		if !ok {
			continue
		}
		other, name := 1.0, ""
		switch g.against {
		case "":
		case bestPeer:
			other, name = o.best(round, g.figure)
		default:
			if other, ok = o.value(g.against, round, g.figure); !ok {
				continue
			}
		}
		if !math.IsNaN(other) && other > 0 {
			ratios = append(ratios, own/other)
			wins[name]++
		}
	}
	v := verdict{goal: g, Value: median.Of(ratios), Peer: most(wins)}
	v.Met = v.Value <= g.want
	if g.least {
		v.Met = v.Value >= g.want
	}
	return v
}

// rounds are the numbers of the rounds there are.
func (o outcomes) rounds() (all []int) {
	seen := map[int]bool{}
	for _, one := range o {
		if !seen[one.Round] {
			seen[one.Round] = true
			all = append(all, one.Round)
		}
	}
	return all
}

// most is the name that won most often; of several, the first in the alphabet.
func most(wins map[string]int) (name string) {
	for n, count := range wins {
		if count > wins[name] || count == wins[name] && n < name {
			name = n
		}
	}
	return name
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

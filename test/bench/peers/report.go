package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/conchmq/conch/test/bench/page"
)

// report writes each scenario as a table of medians with their spread, and under it the goals with what was reached, whether conch wins
// or loses. What failed stands in its row.
func (c *contest) report(w io.Writer) {
	for _, s := range c.scenarios {
		all := c.outcomes[s.name]
		fmt.Fprintf(w, "%s\n", s.title)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprint(table, "  \t")
		for _, f := range s.figures {
			fmt.Fprintf(table, "%s\t", f)
		}
		fmt.Fprintln(table)
		for _, name := range c.contestants(s) {
			fmt.Fprintf(table, "  %s\t", name)
			for _, f := range s.figures {
				fmt.Fprintf(table, "%s\t", page.Spread(all.values(name, f)))
			}
			fmt.Fprintf(table, "%s\n", strings.TrimSpace(all.limited(name)+" "+failed(all, name)))
		}
		_ = table.Flush() // what w could not take it will not take below either
		for _, g := range s.goals {
			v := all.judge(g)
			fmt.Fprintf(w, "  %s: %s; goal %s: %s\n", g.figure, v.reached(), g, v.word())
		}
		fmt.Fprintln(w)
	}
	met, of := c.score()
	fmt.Fprintf(w, "%d of %d goals met; medians of %d rounds of %v\n", met, of, c.rounds, c.duration)
}

// contestants are the names of those that were measured in a scenario, in the order of its list.
func (c *contest) contestants(s scenario) (all []string) {
	for _, one := range s.who {
		if slices.ContainsFunc(c.outcomes[s.name], func(o outcome) bool { return o.Contestant == one.name }) {
			all = append(all, one.name)
		}
	}
	return all
}

// limited says whether a contestant came so near to the relay, or beyond it, that the generator was the limit.
func (o outcomes) limited(name string) string {
	if name != relayName && o.median(name, deliveries) >= 0.9*o.median(relayName, deliveries) {
		return "limited by the generator"
	}
	return ""
}

// failed says how many rounds of a contestant failed, and the first reason.
func failed(all outcomes, name string) string {
	count, reason := 0, ""
	for _, one := range all {
		if one.Contestant == name && one.Error != "" {
			if count++; count == 1 {
				reason = fmt.Sprintf("FAILED in round %d: %s", one.Round, one.Error)
			}
		}
	}
	if count > 1 {
		reason += fmt.Sprintf(" (and in %d more)", count-1)
	}
	return reason
}

// reached is the value in words, with the peer that it is held against.
func (v verdict) reached() string {
	text := v.show(v.Value)
	switch {
	case math.IsNaN(v.Value):
		return "–"
	case v.Peer != "":
		return text + " " + v.Peer
	case v.against == relayName:
		return text + " of the relay"
	case v.against != "":
		return text + " " + v.against
	}
	return text
}

func (c *contest) score() (met, of int) {
	for _, s := range c.scenarios {
		for _, g := range s.goals {
			of++
			if c.outcomes[s.name].judge(g).Met {
				met++
			}
		}
	}
	return met, of
}

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/conchmq/conch/test/bench/page"
)

// markdown is what a run writes: goals, all figures, and what failed.
func (c *comparison) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Run of %s: medians, with the least and the greatest in brackets. %s\n\n", c.where.Date, c.where.Machine())
	var rows [][]string
	for _, d := range c.where.Servers {
		rows = append(rows, []string{d.Name, d.Version})
	}
	b.WriteString(page.Table([]string{"server", "version"}, rows))
	goals, met := c.goalRows()
	fmt.Fprintf(&b, "\n### Goals: %d of %d met\n\n", met, len(goals))
	b.WriteString(page.Table([]string{"scenario", "figure", conchThree, "ratio", "goal", ""}, goals))
	b.WriteString("\n### All figures\n\n")
	b.WriteString(c.figureTable())
	for _, o := range c.outcomes {
		if o.Error != "" {
			fmt.Fprintf(&b, "\nFailed: %s, %s: %s\n", o.Scenario, o.System, o.Error)
		}
	}
	return b.String()
}

func (c *comparison) goalRows() (rows [][]string, met int) {
	for i := range scenarios {
		s := &scenarios[i]
		for _, g := range s.goals {
			value, word := c.judge(s, g)
			if word == "met" {
				met++
			} else {
				word = "**" + word + "**"
			}
			ratio := "–"
			if g.against != "" && word != "**not measured**" {
				ratio = fmt.Sprintf("%.2f×", value)
			}
			rows = append(rows, []string{c.titled(s), string(g.figure), page.Spread(c.values(s.name, conchThree, g.figure)), ratio, g.String(), word})
		}
	}
	return rows, met
}

// titled is the title of a scenario, with how far it went.
func (c *comparison) titled(s *scenario) string {
	for _, o := range c.outcomes {
		if o.Scenario == s.name && o.Setting != "" {
			return s.title + ": " + o.Setting
		}
	}
	return s.title
}

func (c *comparison) figureTable() string {
	columns := []string{conchThree, conchOne, natsAlways, natsThree}
	var rows [][]string
	for i := range scenarios {
		s := &scenarios[i]
		if !slices.ContainsFunc(c.outcomes, func(o outcome) bool { return o.Scenario == s.name }) {
			continue
		}
		for _, f := range s.figures {
			row := []string{c.titled(s), string(f)}
			for _, name := range columns {
				row = append(row, page.Spread(c.values(s.name, name, f)))
			}
			rows = append(rows, row)
		}
	}
	return page.Table(append([]string{"scenario", "figure"}, columns...), rows)
}

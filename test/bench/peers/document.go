package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conchmq/conch/test/bench/page"
	"github.com/conchmq/conch/test/bench/servers"
)

// section is a part of the document: its scenarios, and the plots behind its tables.
type section struct {
	name  string               // of its marks
	part  func(*scenario) bool // the scenarios in it
	plots []plotted
}

type plotted struct {
	figure figure
	file   string
	title  string
}

var sections = []section{
	{"ordinary", func(s *scenario) bool { return s.ordinary }, []plotted{
		{deliveries, "ordinary-throughput", "Throughput of ordinary loads: more is better"},
		{cpu, "ordinary-cpu", "CPU time of ordinary loads: less is better"},
		{underLoad, "ordinary-memory", "Memory under ordinary loads: less is better"},
	}},
	{"peers", func(s *scenario) bool { return !s.ordinary && !s.web && !s.streams && !s.group }, []plotted{
		{deliveries, "throughput", "Throughput: more is better"},
		{cpu, "cpu", "CPU time: less is better"},
		{p99, "latency", "Latency at a fixed rate: less is better"},
	}},
	{"web", func(s *scenario) bool { return s.web }, nil},
	{"streams", func(s *scenario) bool { return s.streams }, nil},
	{"groups", func(s *scenario) bool { return s.group }, nil},
}

func sectionNames() (names []string) {
	for _, s := range sections {
		names = append(names, s.name)
	}
	return names
}

// described are the servers of the contest's scenarios, as they are started for these: those of pages and of streams have
// arguments of their own.
func (c *contest) described(where servers.Environment) (all []servers.Description) {
	for _, d := range where.Servers {
		seen := map[string]bool{}
		for _, s := range c.scenarios {
			for _, one := range s.who {
				if one.server != d.Name {
					continue
				}
				started := d
				if arguments := one.arguments(); arguments != nil {
					started.Command = servers.Shown(d.Binary(), arguments("PORT"))
				}
				if !seen[started.Command] {
					seen[started.Command] = true
					all = append(all, started)
				}
			}
		}
	}
	return all
}

// write puts the run into the document: tables between the marks of each section, plots beside it.
func (c *contest) write(doc string, where servers.Environment) error {
	plots := filepath.Join(filepath.Dir(doc), "performance")
	if err := os.MkdirAll(plots, 0o755); err != nil {
		return err
	}
	for _, s := range sections {
		part := c.part(s)
		if len(part.scenarios) == 0 {
			continue // not of this run: what the document has stays
		}
		for _, one := range s.plots {
			plot := part.plot(one.figure, one.title)
			if err := plot.Save(filepath.Join(plots, one.file+".svg")); err != nil {
				return err
			}
		}
		if err := page.Rewrite(doc, s.name, part.markdown(s, where)); err != nil {
			return err
		}
	}
	return nil
}

// part is the contest with the scenarios of one section.
func (c *contest) part(s section) *contest {
	part := *c
	part.scenarios = nil
	for _, one := range c.scenarios {
		if s.part(&one) {
			part.scenarios = append(part.scenarios, one)
		}
	}
	return &part
}

// plot shows one figure of all scenarios that have it under a goal.
func (c *contest) plot(f figure, title string) *page.Plot {
	p := &page.Plot{Title: title, Axis: f.words()}
	series := map[string]*page.Series{}
	var order []string
	for _, s := range c.scenarios {
		if !s.judges(f) {
			continue
		}
		p.Places = append(p.Places, s.title)
		for _, name := range c.contestants(s) {
			if series[name] == nil {
				series[name] = &page.Series{Name: name}
				order = append(order, name)
			}
			one := series[name]
			for len(one.Values) < len(p.Places)-1 {
				one.Add(nil)
			}
			one.Add(c.outcomes[s.name].values(name, f))
		}
	}
	for _, name := range order {
		p.Series = append(p.Series, *series[name])
	}
	return p
}

func (s *scenario) judges(f figure) bool {
	for _, g := range s.goals {
		if g.figure == f {
			return true
		}
	}
	return false
}

// markdown is the section that a run writes.
func (c *contest) markdown(s section, where servers.Environment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Run of %s: medians of %d rounds of %v each, with the least and the greatest in brackets. %s\n\n", where.Date, c.rounds, c.duration, where.Machine())
	var rows [][]string
	for _, d := range c.described(where) {
		rows = append(rows, []string{d.Name, d.Version, "`" + d.Command + "`"})
	}
	b.WriteString(page.Table([]string{"server", "version", "started as"}, rows))
	met, of := c.score()
	fmt.Fprintf(&b, "\n### Goals: %d of %d met\n\n", met, of)
	b.WriteString(c.goalTable())
	b.WriteString("\n### All figures\n\n")
	b.WriteString(c.figureTable())
	if slices.Contains(c.columns(), relayName) {
		b.WriteString("\n\\* within 10 % of the relay or over it: limited by the generator\n")
	}
	for _, one := range c.failures() {
		fmt.Fprintf(&b, "\nFailed: %s, %s, round %d: %s\n", one.Scenario, one.Contestant, one.Round, one.Error)
	}
	for _, one := range s.plots {
		fmt.Fprintf(&b, "\n![%s](performance/%s.svg)\n", one.file, one.file)
	}
	return b.String()
}

func (c *contest) goalTable() string {
	var rows [][]string
	for _, s := range c.scenarios {
		for _, g := range s.goals {
			v := c.outcomes[s.name].judge(g)
			word := v.word()
			if !v.Met {
				word = "**" + word + "**"
			}
			rows = append(rows, []string{
				s.title, string(g.figure), page.Number(c.outcomes[s.name].median(conchName, g.figure)), v.reached(), g.String(), word,
			})
		}
	}
	return page.Table([]string{"scenario", "figure", "conch", "ratio of medians", "goal", ""}, rows)
}

func (c *contest) figureTable() string {
	columns := c.columns()
	var rows [][]string
	for _, s := range c.scenarios {
		for _, f := range s.figures {
			row := []string{s.title, string(f)}
			for _, name := range columns {
				cell := page.Spread(c.outcomes[s.name].values(name, f))
				if f == deliveries && c.outcomes[s.name].limited(name) != "" {
					cell += " *"
				}
				row = append(row, cell)
			}
			rows = append(rows, row)
		}
	}
	return page.Table(append([]string{"scenario", "figure"}, columns...), rows)
}

// columns are all that took part anywhere.
func (c *contest) columns() (all []string) {
	seen := map[string]bool{}
	for _, s := range c.scenarios {
		for _, name := range c.contestants(s) {
			if !seen[name] {
				seen[name] = true
				all = append(all, name)
			}
		}
	}
	return all
}

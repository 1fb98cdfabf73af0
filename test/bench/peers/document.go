package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/conchmq/conch/test/bench/page"
	"github.com/conchmq/conch/test/bench/servers"
)

// write puts the run into the document: tables between its marks, plots beside it.
func (c *contest) write(doc string, where servers.Environment) error {
	plots := filepath.Join(filepath.Dir(doc), "performance")
	if err := os.MkdirAll(plots, 0o755); err != nil {
		return err
	}
	for _, one := range []struct {
		figure figure
		file   string
		title  string
	}{
		{deliveries, "throughput.svg", "Throughput: more is better"},
		{cpu, "cpu.svg", "CPU time: less is better"},
		{p99, "latency.svg", "Latency at a fixed rate: less is better"},
	} {
		plot := c.plot(one.figure, one.title)
		if err := plot.Save(filepath.Join(plots, one.file)); err != nil {
			return err
		}
	}
	return page.Rewrite(doc, "peers", c.markdown(where))
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
func (c *contest) markdown(where servers.Environment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Run of %s: medians of %d rounds of %v each, with the least and the greatest in brackets. %s\n\n", where.Date, c.rounds, c.duration, where.Machine())
	var rows [][]string
	for _, d := range where.Servers {
		rows = append(rows, []string{d.Name, d.Version, "`" + d.Command + "`"})
	}
	b.WriteString(page.Table([]string{"server", "version", "started as"}, rows))
	met, of := c.score()
	fmt.Fprintf(&b, "\n### Goals: %d of %d met\n\n", met, of)
	b.WriteString(c.goalTable())
	b.WriteString("\n### All figures\n\n")
	b.WriteString(c.figureTable())
	b.WriteString("\n\\* within 10 % of the relay or over it: limited by the generator\n")
	for _, one := range c.failures() {
		fmt.Fprintf(&b, "\nFailed: %s, %s, round %d: %s\n", one.Scenario, one.Contestant, one.Round, one.Error)
	}
	for _, file := range []string{"throughput", "cpu", "latency"} {
		fmt.Fprintf(&b, "\n![%s](performance/%s.svg)\n", file, file)
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

package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/conchmq/conch/test/bench/page"
	"github.com/conchmq/conch/test/bench/servers"
)

// write puts the run into the document: its text between the marks, plots beside it.
func (c *contest) write(doc, text string) error {
	plots := filepath.Join(filepath.Dir(doc), "performance")
	if err := os.MkdirAll(plots, 0o755); err != nil {
		return err
	}
	for _, server := range c.servers {
		if err := c.plot(&c.scenarios[0], server).Save(filepath.Join(plots, plotName(server))); err != nil {
			return err
		}
		text += fmt.Sprintf("\n![clients and %s](performance/%s)\n", server, plotName(server))
	}
	return page.Rewrite(doc, "clients", text)
}

func plotName(server string) string { return "clients-" + server + ".svg" }

// plot shows how throughput follows the number of connections.
func (c *contest) plot(s *scenario, server string) *page.Plot {
	p := &page.Plot{
		Title: "Publishing to " + server + ": more is better", Axis: "acknowledged messages per second",
		Across: "connections", Places: numbers(s.connections), Lines: true,
	}
	for _, w := range s.ways {
		one := page.Series{Name: w.name}
		for _, n := range s.connections {
			one.Add(c.values(entrant{s.name, server, w.name, n}, rate))
		}
		p.Series = append(p.Series, one)
	}
	return p
}

func numbers(values []int) (texts []string) {
	for _, v := range values {
		texts = append(texts, strconv.Itoa(v))
	}
	return texts
}

// markdown is the section that a run writes.
func (c *contest) markdown(where servers.Environment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Run of %s: medians of %d rounds of %v each. %s\n\n", where.Date, c.rounds, c.duration, where.Machine())
	var rows [][]string
	for _, d := range where.Servers {
		rows = append(rows, []string{d.Name, d.Version, "`" + d.Command + "`"})
	}
	b.WriteString(page.Table([]string{"server", "version", "started as"}, rows))
	for i := range c.scenarios {
		s := &c.scenarios[i]
		fmt.Fprintf(&b, "\n### %s\n\n", s.title)
		b.WriteString(c.byConnections(s, rate))
		b.WriteString("\n")
		b.WriteString(c.byConnections(s, cpu))
		b.WriteString("\nEach at the number of connections where it is fastest, with the least and the greatest of the rounds in brackets; the fastest of all in bold:\n\n")
		b.WriteString(c.atBest(s))
	}
	for _, one := range c.failures() {
		fmt.Fprintf(&b, "\nFailed: %s, %s, %s, %d connections, round %d: %s\n",
			one.Scenario, one.Server, one.Way, one.Connections, one.Round, one.Error)
	}
	return b.String()
}

// byConnections is a table of one figure.
func (c *contest) byConnections(s *scenario, f figure) string {
	var rows [][]string
	for _, server := range c.servers {
		for _, w := range s.ways {
			row := []string{server, w.name}
			for _, n := range s.connections {
				row = append(row, page.Number(c.median(entrant{s.name, server, w.name, n}, f)))
			}
			rows = append(rows, row)
		}
	}
	return page.Table(append([]string{"server", string(f) + "; connections:"}, numbers(s.connections)...), rows)
}

// atBest is a table of all figures, for each way with the number of connections that gives the most messages.
func (c *contest) atBest(s *scenario) string {
	figures := []figure{connections, rate, p50, p99, cpu, brokerCPU, allocations, volume}
	head := []string{"server", "way", "connections"}
	for _, f := range figures {
		head = append(head, string(f))
	}
	var rows [][]string
	for _, server := range c.servers {
		fastest := 0.0
		for _, w := range s.ways {
			if v := c.median(c.best(s, server, w.name), rate); v > fastest { // NaN is not
				fastest = v
			}
		}
		for _, w := range s.ways {
			e := c.best(s, server, w.name)
			row := []string{server, w.name, strconv.Itoa(e.Connections)}
			for _, f := range figures {
				v := c.median(e, f)
				cell := page.Spread(c.values(e, f))
				switch {
				case f == rate && v == fastest:
					cell = "**" + cell + "**"
				case f == connections && v == math.Trunc(v):
					cell = strconv.Itoa(int(v))
				}
				row = append(row, cell)
			}
			rows = append(rows, row)
		}
	}
	return page.Table(head, rows)
}

// best is a way with the number of connections that gives the most messages, or the first if none could be measured.
func (c *contest) best(s *scenario, server, way string) entrant {
	best, most := entrant{s.name, server, way, s.connections[0]}, math.Inf(-1)
	for _, n := range s.connections {
		e := entrant{s.name, server, way, n}
		if v := c.median(e, rate); v > most { // NaN is not
			best, most = e, v
		}
	}
	return best
}

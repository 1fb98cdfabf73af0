package cli

import (
	"cmp"
	"slices"
	"strings"
)

// topConnector is a source or a sink. Of a source Messages are those that it has taken in, of a sink those that it has sent.
type topConnector struct {
	Name      string  `json:"name"`
	Direction string  `json:"direction"`
	System    string  `json:"system"`
	State     string  `json:"state"`
	Messages  int64   `json:"messages"`
	Rate      float64 `json:"messages_rate"`
	Pending   int64   `json:"pending"`
	Lag       int64   `json:"lag"`
	Retried   int64   `json:"retried"`
	Dead      int64   `json:"dead"`
}

// connectorsOf reads the section Connectors of INFO, whose lines are such as source_NAME:system=nats,state=running,taken=12.
func connectorsOf(lines []string) []topConnector {
	all := []topConnector{}
	for _, line := range lines {
		key, text, _ := strings.Cut(line, ":")
		direction, name, _ := strings.Cut(key, "_")
		if direction != "source" && direction != "sink" || !strings.HasPrefix(text, "system=") {
			continue
		}
		f := fieldsOf(strings.Split(text, ","), "=")
		all = append(all, topConnector{
			Name: name, Direction: direction, System: f["system"], State: f["state"], Messages: number(cmp.Or(f["taken"], f["sent"])),
			Pending: number(f["pending"]), Lag: number(f["lag"]), Retried: number(f["retried"]), Dead: number(f["dead"]),
		})
	}
	return all
}

// rateConnectors works out what has grown since an earlier sample.
func (s *sample) rateConnectors(before *sample, rate func(now, then float64) float64) {
	messages := make(map[[2]string]int64, len(before.Connectors))
	for _, c := range before.Connectors {
		messages[[2]string{c.Direction, c.Name}] = c.Messages
	}
	for i, c := range s.Connectors {
		s.Connectors[i].Rate = rate(float64(c.Messages), float64(messages[[2]string{c.Direction, c.Name}]))
	}
}

// sortConnectors has those first that do not run, and then the busiest.
func (s *sample) sortConnectors() {
	slices.SortStableFunc(s.Connectors, func(a, b topConnector) int {
		if aRuns, bRuns := a.State == "running", b.State == "running"; aRuns != bRuns {
			return map[bool]int{false: -1, true: 1}[aRuns]
		}
		return cmp.Compare(b.Rate, a.Rate)
	})
}

// connectorRows are the rows of the table, with its head.
func (s *sample) connectorRows(connectors []topConnector) [][]string {
	rows := [][]string{{"connector", "a second", "messages", "pending", "lag", "retried", "dead", "direction", "system", "state"}}
	for _, c := range connectors {
		rows = append(rows, []string{
			cutTo(shown(c.Name), topNameWidth), s.rateText(c.Rate), short(float64(c.Messages)), short(float64(c.Pending)), short(float64(c.Lag)),
			short(float64(c.Retried)), short(float64(c.Dead)), c.Direction, shown(c.System), shown(c.State),
		})
	}
	return rows
}

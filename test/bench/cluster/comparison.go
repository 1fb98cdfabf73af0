package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/conchmq/conch/test/bench/median"
	"github.com/conchmq/conch/test/bench/page"
	"github.com/conchmq/conch/test/bench/servers"
)

// comparison is a run.
type comparison struct {
	options
	scenarios []scenario // of this run
	outcomes  []outcome  // of earlier runs too
	where     servers.Environment
	progress  io.Writer
}

// outcome is one measurement: a sample, or why there is none.
type outcome struct {
	Scenario, System string
	Sample           sample `json:",omitempty"`
	Error            string `json:",omitempty"`
	Setting          string `json:",omitempty"` // how far, or how much
}

// run measures everything in rounds, each of which begins with another system.
func (c *comparison) run(ctx context.Context) error {
	failed := 0
	for round := range c.rounds {
		for i := range c.scenarios {
			s := &c.scenarios[i]
			if s.once && round > 0 {
				continue
			}
			for j := range s.systems {
				o := c.measure(ctx, s, s.systems[(j+round)%len(s.systems)])
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if o.Error != "" {
					failed++
				}
				c.outcomes = append(c.outcomes, o)
				fmt.Fprintf(c.progress, "%-9s %-22s %s\n", o.Scenario, o.System, o.brief(s))
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d measurements failed, see above", failed)
	}
	return nil
}

func (c *comparison) measure(ctx context.Context, s *scenario, who system) outcome {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	o := outcome{Scenario: s.name, System: who.name}
	if s.name == "behind" {
		o.Setting = fmt.Sprintf("%d MB", c.behind)
	}
	g, err := start(ctx, who)
	if g != nil {
		defer g.stop()
	}
	if err == nil {
		o.Sample, err = s.measure(ctx, g, &c.options)
	}
	for _, n := range g.alive() {
		err = errors.Join(err, n.Running())
	}
	if err != nil {
		o.Sample, o.Error = nil, strings.Join(strings.Fields(err.Error()), " ")
	}
	return o
}

// alive are the nodes of a group, if there is one.
func (g *group) alive() []*node {
	if g == nil {
		return nil
	}
	return g.nodes
}

func (o *outcome) brief(s *scenario) string {
	if o.Error != "" {
		return "failed: " + o.Error
	}
	var all []string
	for _, f := range s.figures {
		all = append(all, fmt.Sprintf("%s %s", page.Number(o.Sample[f]), f))
	}
	return strings.Join(all, ", ")
}

// load reads the outcomes of earlier runs. Those of the scenarios of this run are measured anew.
func (c *comparison) load() error {
	if c.keep == "" {
		return nil
	}
	text, err := os.ReadFile(c.keep)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var old []outcome
	if err := json.Unmarshal(text, &old); err != nil {
		return fmt.Errorf("%s: %w", c.keep, err)
	}
	for _, o := range old {
		if !c.runs(o.Scenario) {
			c.outcomes = append(c.outcomes, o)
		}
	}
	return nil
}

func (c *comparison) runs(name string) bool {
	for _, s := range c.scenarios {
		if s.name == name {
			return true
		}
	}
	return false
}

func (c *comparison) save() error {
	var errs []error
	if c.keep != "" {
		text, err := json.MarshalIndent(c.outcomes, "", "  ")
		errs = append(errs, err, os.WriteFile(c.keep, append(text, '\n'), 0o644))
	}
	if c.doc != "" {
		errs = append(errs, page.Rewrite(c.doc, "cluster", c.markdown()))
	}
	return errors.Join(errs...)
}

// values of one figure of one system, one for each measurement that has it.
func (c *comparison) values(scenario, system string, f figure) (all []float64) {
	for _, o := range c.outcomes {
		if v, ok := o.Sample[f]; ok && o.Scenario == scenario && o.System == system {
			all = append(all, v)
		}
	}
	return all
}

// judge divides the median of three nodes by that of what a goal names.
func (c *comparison) judge(s *scenario, g goal) (value float64, word string) {
	value = median.Of(c.values(s.name, conchThree, g.figure))
	if g.against != "" {
		value /= median.Of(c.values(s.name, g.against, g.figure))
	}
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return math.NaN(), "not measured"
	case g.least && value >= g.want, !g.least && value <= g.want:
		return value, "met"
	}
	return value, "not met"
}

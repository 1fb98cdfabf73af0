//go:build e2e

package e2e

import (
	"math/rand"
	"slices"
	"strings"

	"github.com/conchmq/conch/protocol"
)

// family is a sort of commands.
type family struct {
	name   string
	weight int
	make   func(g *generator) []command
	joins  bool // its commands may be sent with others in one write, and between MULTI and EXEC
	alone  bool // and these not even while MULTI is open
	blocks bool // its last command may wait for what another connection sends
}

// absent names the families that conch does not have yet. Take out the line of one that it has.
var absent = []string{}

var families = []family{
	{"subscribe", 12, one(subscribe), true, false, false},
	{"publish", 14, one(publish), true, false, false},
	{"sharded", 7, one(sharded), true, false, false},
	{"introspection", 6, one(introspection), true, false, false},
	{"connection", 6, one(connection), true, false, false},
	{"hello", 3, one(hello), true, false, false},
	{"names", 2, one(names), true, false, false},
	{"time", 1, fixed("TIME"), true, false, false},
	{"list", 2, one(list), true, false, false},
	{"wrong", 3, one(wrong), true, false, false},
	{"empty", 1, empty, false, false, false},
	{"reset", 1, fixed("RESET"), false, false, false},
	{"transaction", 10, transaction, false, false, false},
	{"reply", 1, reply, false, true, false},
	{"kill", 1, one(kill), false, true, false},
	{"end", 1, end, false, false, false},
}

func one(words func(g *generator) []string) func(g *generator) []command {
	return func(g *generator) []command { return []command{g.command(words(g))} }
}

func fixed(verb string) func(g *generator) []command {
	return one(func(*generator) []string { return []string{verb} })
}

// present are the families that conch has.
func present(all []family) []family {
	return slices.DeleteFunc(slices.Clone(all), func(f family) bool { return slices.Contains(absent, f.name) })
}

// asked are the families that -diff.only names.
func asked(all []family) []family {
	return slices.DeleteFunc(slices.Clone(all), func(f family) bool {
		return *diffOnly != "" && !slices.Contains(strings.Split(*diffOnly, ","), f.name)
	})
}

// generator makes commands from small alphabets, so that they meet.
type generator struct {
	*rand.Rand
	families []family
	payloads int
	conns    int
	clock    int  // of the ids of entries: most of those that are added are larger than those before
	huge     bool // some are the largest of all, and WATCH is sent; else XSETID
}

func compose(random *rand.Rand, from []family) sequence {
	g := &generator{Rand: random, families: from, conns: 3 + random.Intn(3), huge: random.Intn(2) == 0}
	s := sequence{conns: g.conns}
	for len(s.steps) < stepsPerSequence {
		f := g.family(func(family) bool { return true })
		next := step{conn: g.Intn(g.conns), commands: f.make(g), alone: f.alone}
		if f.blocks {
			next.waker, next.waking = g.Intn(g.conns), waking(g)
		}
		for f.joins && len(next.commands) < 6 && g.oneIn(3) {
			next.commands = append(next.commands, g.joining()...)
		}
		if g.oneIn(8) {
			next.cut = 1 + g.Intn(99)
		}
		s.steps = append(s.steps, next)
	}
	return s
}

func (g *generator) family(fits func(family) bool) family {
	var drawn []family
	for _, f := range g.families {
		for range f.weight {
			if fits(f) {
				drawn = append(drawn, f)
			}
		}
	}
	if len(drawn) == 0 {
		return family{make: fixed("PING")}
	}
	return drawn[g.Intn(len(drawn))]
}

func (g *generator) joining() []command {
	return g.family(func(f family) bool { return f.joins }).make(g)
}

func (g *generator) oneIn(n int) bool { return g.Intn(n) == 0 }

func pick[T any](g *generator, all ...T) T { return all[g.Intn(len(all))] }

// some are one to three of all, the same one twice perhaps.
func (g *generator) some(all []string) []string {
	var words []string
	for range 1 + g.Intn(3) {
		words = append(words, pick(g, all...))
	}
	return words
}

// command sends words as a RESP array or as a line, in any letter case.
func (g *generator) command(words []string) command {
	words = slices.Clone(words)
	switch g.Intn(4) {
	case 0:
		words[0] = strings.ToLower(words[0])
	case 1:
		half := len(words[0]) / 2
		words[0] = strings.ToLower(words[0][:half]) + words[0][half:]
	}
	known := protocol.Lookup([]byte(words[0])) != nil
	if g.oneIn(4) && known && !slices.ContainsFunc(words, placeholder.MatchString) {
		return typed(g, words)
	}
	return command{words: words}
}

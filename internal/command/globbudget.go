package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

const (
	// maxGlobSteps bounds the glob matching of one command, in steps of broker.Matcher: some 20
	// ms. Every other connection waits meanwhile.
	maxGlobSteps = 16 << 20
	// freeGlobSteps of each match are not counted. A glob and a name of common length take
	// fewer, and a server may have a million names.
	freeGlobSteps = 512
)

// globWork matches globs for one command, and stops once that has cost too much.
type globWork struct {
	matcher broker.Matcher
	left    int // of maxGlobSteps
}

// newGlobWork starts with the whole budget.
func newGlobWork() globWork { return globWork{left: maxGlobSteps} }

// match is broker.Match. Above the budget nothing matches: see exhausted.
func (w *globWork) match(glob string, name []byte) bool {
	if w.exhausted() {
		return false
	}
	w.matcher.Steps = 0
	ok := w.matcher.Match(glob, name)
	w.left -= max(0, w.matcher.Steps-freeGlobSteps)
	return ok && !w.exhausted()
}

// exhausted reports whether the budget was exceeded. The caller checks it after all matches.
func (w *globWork) exhausted() bool { return w.left < 0 }

// budgetedGlob is one glob with a budget, for matching many names.
type budgetedGlob struct {
	text string
	globWork
}

// newGlob makes a glob with a whole budget.
func newGlob(text string) *budgetedGlob { return &budgetedGlob{text: text, globWork: newGlobWork()} }

// matches holds one name against the glob.
func (g *budgetedGlob) matches(name string) bool { return g.match(g.text, []byte(name)) }

// work is the work done so far, in the unit of execBudget.
func (g *budgetedGlob) work() int { return (maxGlobSteps - max(g.left, 0)) / globWorkPerUnit }

// err is the error for a glob over its budget, nil for one within it. The caller checks it
// after all names.
func (g *budgetedGlob) err() *protocol.Error {
	if !g.exhausted() {
		return nil
	}
	return protocol.Errorf(`glob too expensive here: shorten it or avoid ? [ \ after *`)
}

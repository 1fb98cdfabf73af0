package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

const (
	// maxGlobSteps bounds what one command may match together while everybody waits, in steps of broker.Matcher: some
	// 20 ms.
	maxGlobSteps = 16 << 20
	// freeGlobSteps are not counted, of each match: a glob and a name of common length take fewer, and a server may have
	// a million names.
	freeGlobSteps = 512
)

// globWork matches for one command, and stops when that has cost too much.
type globWork struct {
	matcher broker.Matcher
	left    int // of maxGlobSteps
}

func newGlobWork() globWork { return globWork{left: maxGlobSteps} }

// match is broker.Match. Once it has cost too much, nothing matches: see exhausted.
func (w *globWork) match(glob string, name []byte) bool {
	if w.exhausted() {
		return false
	}
	w.matcher.Steps = 0
	ok := w.matcher.Match(glob, name)
	w.left -= max(0, w.matcher.Steps-freeGlobSteps)
	return ok && !w.exhausted()
}

// exhausted is for when all has been matched.
func (w *globWork) exhausted() bool { return w.left < 0 }

// budgetedGlob is a glob that names are matched against, within a budget.
type budgetedGlob struct {
	text string
	globWork
}

func newGlob(text string) *budgetedGlob { return &budgetedGlob{text: text, globWork: newGlobWork()} }

// matches holds one name against the glob.
func (g *budgetedGlob) matches(name string) bool { return g.match(g.text, []byte(name)) }

// work is what has been done so far, as budget.go counts it.
func (g *budgetedGlob) work() int { return (maxGlobSteps - max(g.left, 0)) / globWorkPerUnit }

// err is for when all names have been asked for.
func (g *budgetedGlob) err() *protocol.Error {
	if !g.exhausted() {
		return nil
	}
	return protocol.Errorf(`this glob costs too much, with as many long names as there are: make it shorter, or use no ? [ \ behind a *`)
}

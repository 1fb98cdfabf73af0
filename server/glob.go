package server

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

const (
	// maxGlobWork bounds what the names of one question may cost together while everybody waits, in bytes of the glob
	// times bytes of the name: some 70 ms at worst.
	maxGlobWork = 64 << 20
	// freeGlobWork is not counted, of each name: what a glob and a name of common length cost.
	freeGlobWork = 1 << 10
)

// glob is what a question holds all names against.
type glob struct {
	text      string
	laborious bool
	left      int // of maxGlobWork
}

func newGlob(text string) *glob {
	return &glob{text: text, laborious: broker.Laborious(text), left: maxGlobWork}
}

// matches holds one name against the glob. Once that has cost too much, nothing matches: see err.
func (g *glob) matches(name string) bool {
	if g.laborious && g.left >= 0 {
		g.left -= max(0, len(g.text)*len(name)-freeGlobWork)
	}
	return g.left >= 0 && broker.Match(g.text, []byte(name))
}

// work is what has been done so far, as budget.go counts it.
func (g *glob) work() int { return (maxGlobWork - max(g.left, 0)) / globWorkPerUnit }

// err is for when all names have been asked for.
func (g *glob) err() *protocol.Error {
	if g.left >= 0 {
		return nil
	}
	return protocol.Errorf(`this glob costs too much, with as many long names as there are: make it shorter, or use no ? [ \ behind a *`)
}

//go:build connect

package connect

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A message that goes from one conch to a second one and back is cut at the first one, if all on its way have headers: a system with
// headers, and durable topics.
func TestLoopThroughASecondConch(t *testing.T) {
	startNATS(t)
	there, back := natsName(), natsName()
	first := startConch(t, sourceTable("in", natsURL("?subject="+back), "d.first")+sinkTable("out", "d.first", natsURL("?subject="+there)))
	second := startConch(t, sourceTable("in", natsURL("?subject="+there), "d.second")+sinkTable("out", "d.second", natsURL("?subject="+back)))
	first.awaitRunning("in", "out")
	second.awaitRunning("in", "out")
	putNATS(t, back, numbered("loop", 100))
	a := first.awaitConnector("in", "cuts the loop", func(a *account) bool { return a.Looped == 100 })
	assert.True(t, a.balances(), "%+v", a)
	assert.Equal(t, []int{200, 100, 100}, []int{a.Taken, a.Published, a.HeldBack})
	assertOrder(t, numbered("loop", 100), first.entries("d.first"))
	assertOrder(t, numbered("loop", 100), second.entries("d.second"))
	assert.Zero(t, second.awaitBalance("in").Looped)
}

// Plain topics have no headers: through those of a second conch a loop goes on, as docs/connect.md has it. The first conch alone cuts what it
// sent itself.
func TestLoopThroughPlainTopics(t *testing.T) {
	startNATS(t)
	there, back := natsName(), natsName()
	first := startConch(t, sourceTable("in", natsURL("?subject="+back), "first")+sinkTable("out", "first", natsURL("?subject="+there)))
	second := startConch(t, sourceTable("in", natsURL("?subject="+there), "second")+sinkTable("out", "second", natsURL("?subject="+back)))
	first.awaitRunning("in", "out")
	second.awaitRunning("in", "out")
	putNATS(t, back, []string{"round"})
	a := first.awaitConnector("in", "gets its message again and again", func(a *account) bool { return a.Taken > 10 })
	assert.Zero(t, a.Looped)
}

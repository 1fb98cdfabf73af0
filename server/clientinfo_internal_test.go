package server

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/broker"
)

// The line is made for each connection of a list, while everybody waits.
func TestClientInfoFormatsNothingButNumbers(t *testing.T) {
	c := servePipes(t, 1)[0].conn
	var allocations float64
	c.srv.runOnCore(func(broker.View) {
		room := make([]byte, 0, 1<<10)
		allocations = testing.AllocsPerRun(10, func() { c.appendInfo(room, nil) })
	})
	assert.LessOrEqual(t, allocations, 2.0, "the two ends of a pipe are no TCP addresses")
}

func BenchmarkClientInfo(b *testing.B) {
	c := servePipes(b, 1)[0].conn
	c.srv.runOnCore(func(broker.View) {
		var line []byte
		for b.Loop() {
			line = c.appendInfo(line[:0], nil)
		}
	})
}

package command

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/broker"
)

// The line is made for each connection of a list, while everybody waits.
func TestClientInfoFormatsNothingButNumbers(t *testing.T) {
	e := &servePipes(t, 1)[0].executor
	var allocations float64
	e.service.runOnCore(func(broker.View) {
		room := make([]byte, 0, 1<<10)
		allocations = testing.AllocsPerRun(10, func() { e.appendInfo(room, nil) })
	})
	assert.LessOrEqual(t, allocations, 0.0)
}

func BenchmarkClientInfo(b *testing.B) {
	e := &servePipes(b, 1)[0].executor
	e.service.runOnCore(func(broker.View) {
		var line []byte
		for b.Loop() {
			line = e.appendInfo(line[:0], nil)
		}
	})
}

package command

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The order of all nodes takes long, and so a connection has more on its way while something waits for it.
func TestMoreBatchesMayWaitForTheOrder(t *testing.T) {
	var r Reader
	assert.EqualValues(t, maxBatchesInFlight, r.batchesAhead(), "no node of a cluster")
	r.ordered = new(orderedReader)
	assert.EqualValues(t, maxBatchesInFlight, r.batchesAhead(), "nothing waits")
	r.ordered.queue.items = []*orderedBatch{{}}
	assert.EqualValues(t, maxBatchesInOrder, r.batchesAhead())
}

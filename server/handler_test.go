package server

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

func TestEveryRowHasAHandlerAndEveryHandlerARow(t *testing.T) {
	rows := make(map[string]bool)
	for _, row := range protocol.Table {
		rows[row.FullName()] = true
		h := handlers[row.FullName()]
		if assert.NotNil(t, h, "no handler for %s", row.Name) {
			assert.Equal(t, h.op == broker.Answer || h.op == broker.Reset, h.answer != nil, "%s: an answer is for what the core has no part in", row.Name)
		}
	}
	for name := range handlers {
		assert.True(t, rows[name], "no row for %s", name)
	}
}

func TestEveryReasonHasAName(t *testing.T) {
	seen := make(map[string]bool)
	for r := range reasons {
		assert.NotEmpty(t, r.String())
		assert.False(t, seen[r.String()], "%s twice", r)
		seen[r.String()] = true
	}
}

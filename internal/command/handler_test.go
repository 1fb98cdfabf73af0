package command

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/protocol"
)

func TestEveryRowHasAHandlerAndEveryHandlerARow(t *testing.T) {
	rows := make(map[string]bool)
	for _, row := range protocol.Commands {
		rows[row.FullName()] = true
		h := handlers[row.FullName()]
		if assert.NotNil(t, h, "no handler for %s", row.Name) {
			assert.Equal(t, h.op == broker.Reply || h.op == broker.Reset, h.reply != nil, "%s: an answer is for what the core has no part in", row.Name)
		}
	}
	for name := range handlers {
		assert.True(t, rows[name], "no row for %s", name)
	}
}

func TestEveryReasonHasAName(t *testing.T) {
	seen := make(map[string]bool)
	for r := range closeReasons {
		assert.NotEmpty(t, r.String())
		assert.False(t, seen[r.String()], "%s twice", r)
		seen[r.String()] = true
	}
}

// The reader lets these pass without asking who it is; package acl lets everybody run them.
func TestFreeRowsAreFreeForEverybody(t *testing.T) {
	nobody := acl.NewUsers(aclRegistry)
	require.NoError(t, nobody.Set("nobody"))
	u := nobody.Find("nobody")
	for _, row := range protocol.Commands {
		refusal := u.Check(aclRules[row.Index()].command, nil, acl.Keys{})
		assert.Equal(t, row.NoAuth, refusal == nil, row.Name)
	}
}

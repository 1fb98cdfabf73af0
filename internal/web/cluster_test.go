package web_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/server"
)

// twoNodes is one of two nodes.
type twoNodes struct{ command.Nodes }

func (twoNodes) NodeStatus() command.NodeStatus {
	return command.NodeStatus{Name: "a", Role: "leader", Leader: "a", Majority: true, Term: 3, Members: []command.ClusterMember{
		{Name: "a", Address: "h:1", Voter: true, State: "ok"}, {Name: "b", Address: "h:2", State: "behind", LagEntries: 7, LagBytes: 700},
	}}
}

func TestCluster(t *testing.T) {
	both(t, server.Options{Nodes: twoNodes{}}, func(t *testing.T, s *site) {
		a := s.request("GET", "/cluster", "")
		assert.Equal(t, http.StatusOK, a.StatusCode)
		assert.Equal(t, true, a.json["majority"])
		assert.Equal(t, false, a.json["healthy"])
		members := a.json["members"].([]any)
		assert.Len(t, members, 2)
		assert.Equal(t, map[string]any{
			"name": "b", "address": "h:2", "vote": "non-voter", "role": "", "state": "behind", "lag_entries": json.Number("7"), "lag_bytes": json.Number("700"), "link_us": json.Number("0"),
			"clock_ahead_ms": json.Number("0"), "snapshot": json.Number("0"), "snapshot_age": json.Number("-1"), "error": "",
		}, members[1])
	})
	both(t, server.Options{}, func(t *testing.T, s *site) {
		a := s.request("GET", "/cluster", "")
		assert.Empty(t, a.json["name"])
		assert.Empty(t, a.json["members"])
	})
}

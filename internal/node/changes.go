package node

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/command"
)

// changesEvery is how often a node looks whether the cluster has changed.
const changesEvery = 250 * time.Millisecond

// logChanges logs how the cluster changes, as this node sees it.
func (n *Node) logChanges() {
	last := command.NodeStatus{Name: n.options.Cluster.Name}
	n.repeat(changesEvery, func() (goesOn bool) {
		next := n.NodeStatus()
		logChange(&n.options.Log, &last, &next)
		last = next
		return true
	})
}

// repeat calls f once in each interval, until it returns false or the node ends. It returns false in the latter case.
func (n *Node) repeat(every time.Duration, f func() (goesOn bool)) bool {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-n.closing:
			return false
		}
		if !f() {
			return true
		}
	}
}

// logChange logs what differs between two states of a cluster.
func logChange(log *zerolog.Logger, last, next *command.NodeStatus) {
	switch {
	case next.Leader == "" && last.Leader != "":
		log.Warn().Str("before", last.Leader).Uint64("term", next.Term).Msg("no node leads: what changes something waits for a majority")
	case next.Leader != last.Leader, next.Leader != "" && next.Term != last.Term:
		log.Info().Str("leader", next.Leader).Uint64("term", next.Term).Msg("a node leads the cluster")
	}
	before := map[string]*command.ClusterMember{}
	for i := range last.Members {
		before[last.Members[i].Name] = &last.Members[i]
	}
	for i := range next.Members {
		m := &next.Members[i]
		logMember(log, before[m.Name], m, m.Name == next.Name)
		delete(before, m.Name)
	}
	for i := range last.Members {
		if m := &last.Members[i]; before[m.Name] != nil && len(next.Members) > 0 {
			log.Info().Str("node", m.Name).Msg("a node is no member of the cluster any more")
		}
	}
}

// logMember logs what has changed of a member. was is nil for a new one.
func logMember(log *zerolog.Logger, was, is *command.ClusterMember, isThis bool) {
	if was == nil {
		log.Info().Str("node", is.Name).Str("cluster-address", is.Address).Bool("voter", is.Voter).Msg("a node is a member of the cluster")
		was = &command.ClusterMember{Voter: is.Voter, State: "unknown", Snapshot: is.Snapshot}
	}
	if is.Voter != was.Voter {
		log.Info().Str("node", is.Name).Bool("voter", is.Voter).Msg("the vote of a node has changed")
	}
	if isThis && is.Snapshot > was.Snapshot {
		log.Info().Uint64("index", is.Snapshot).Msg("a snapshot was taken: the cluster's log may lose what is before it")
	}
	if is.State == was.State {
		return
	}
	line := log.Info()
	if is.State == "away" || is.State == "behind" {
		line = log.Warn()
	}
	line = line.Str("node", is.Name).Str("state", is.State).Str("before", was.State)
	if is.State != "unknown" {
		line = line.Uint64("lag_entries", is.LagEntries).Uint64("lag_bytes", is.LagBytes)
	}
	if is.Err != "" {
		line = line.Str("error", is.Err)
	}
	line.Msg("the state of a node has changed")
}

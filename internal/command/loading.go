package command

import (
	"cmp"
	"slices"
	"strings"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// ErrLoading is the reply of a node that catches up with its cluster: what it has is not up to date, and its users may not be.
var ErrLoading = &protocol.Error{Code: protocol.CodeLoading, Text: "this node catches up with its cluster; try again, or another node"}

// whileLoading are the commands, with all subcommands, that a node takes nevertheless: those of a connection, and those that watch. PING is none
// of them, as in Redis: client libraries find out by it.
var whileLoading = []string{"auth", "hello", "quit", "reset", "select", "client", "command", "info", "help", "shutdown"}

// whileLoadingToo are subcommands.
var whileLoadingToo = []string{"config|get", "config|help", "node|list", "node|status", "node|help"}

// checkLoading refuses a command by an error while the node catches up.
func (inv *invocation) checkLoading(loading *protocol.Error, isReplica bool) *protocol.Error {
	if isReplica || inv.row == nil || slices.Contains(whileLoadingToo, inv.row.FullName()) {
		return nil
	}
	if container, _, _ := strings.Cut(inv.row.FullName(), "|"); slices.Contains(whileLoading, container) {
		return nil
	}
	return loading
}

// Loading is the error that clients get, nil if they are served. It never waits.
func (s *Service) Loading() *protocol.Error { return s.loading.Load() }

// SetLoaded makes the service take all commands. It returns false if the node was removed meanwhile.
func (s *Service) SetLoaded() bool { return s.loading.CompareAndSwap(ErrLoading, nil) }

// SetRemoved ends all connections of a node that was removed from its cluster; clients get an error that names another node from then on. A node that is
// a member again is loading until SetLoaded. It waits for the core.
func (s *Service) SetRemoved(removed bool) {
	if before := s.loading.Load(); !removed {
		if before != nil {
			s.loading.CompareAndSwap(before, ErrLoading)
		}
		return
	}
	other := "another node"
	s.runOnCore(func(broker.View) { other = cmp.Or(s.nextAddress(), other) })
	err := &protocol.Error{Code: protocol.CodeLoading, Text: "this node was removed from the cluster; use " + other + ", or add this one again by NODE ADD"}
	if s.loading.Swap(err) == nil {
		s.endAll(CloseReasonRemoved)
	}
}

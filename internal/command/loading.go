package command

import (
	"slices"
	"strings"

	"github.com/conchmq/conch/protocol"
)

// ErrLoading is the reply of a node that catches up with its cluster: what it has is not up to date, and its users may not be.
var ErrLoading = &protocol.Error{Code: protocol.CodeLoading, Text: "this node catches up with its cluster; try again, or another node"}

// whileLoading are the commands, with all subcommands, that a node takes nevertheless: those of a connection, and those that watch. PING is none
// of them, as in Redis: client libraries find out by it.
var whileLoading = []string{"auth", "hello", "quit", "reset", "select", "client", "command", "info", "help", "shutdown"}

// whileLoadingToo are subcommands.
var whileLoadingToo = []string{"config|get", "config|help", "node|list", "node|status", "node|help"}

// checkLoading refuses a command while the node catches up.
func (inv *invocation) checkLoading(isReplica bool) *protocol.Error {
	if isReplica || inv.row == nil || slices.Contains(whileLoadingToo, inv.row.FullName()) {
		return nil
	}
	if container, _, _ := strings.Cut(inv.row.FullName(), "|"); slices.Contains(whileLoading, container) {
		return nil
	}
	return ErrLoading
}

// IsLoading reports whether clients get LOADING.
func (s *Service) IsLoading() bool { return s.loading.Load() }

// SetLoaded makes the service take all commands.
func (s *Service) SetLoaded() { s.loading.Store(false) }

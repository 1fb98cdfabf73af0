package node

import "github.com/conchmq/conch/internal/store"

// orderedStore is a store whose records need not be safe before an answer is given: the cluster's log is. What it has no room for is refused
// before it is proposed.
type orderedStore struct{ *store.Store }

// HasBarriers implements [command.Store].
func (*orderedStore) HasBarriers() bool { return false }

// Room implements [command.Store].
func (*orderedStore) Room(int) bool { return true }

// Err implements [command.Store]: a full disk is seen before a proposal.
func (s *orderedStore) Err() error { return s.Failed() }

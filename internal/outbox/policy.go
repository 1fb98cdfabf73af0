package outbox

import (
	"fmt"
	"slices"
	"strings"
)

// Policy decides what happens when more messages wait for a subscriber than its outbox may hold.
type Policy int32

// The policies.
const (
	// Disconnect evicts the subscriber.
	Disconnect Policy = iota
	// DropNewest does not queue the new message.
	DropNewest
	// DropOldest drops the messages that have waited longest.
	DropOldest
)

var policyNames = []string{Disconnect: "disconnect", DropNewest: "drop-newest", DropOldest: "drop-oldest"}

// String is the policy as configured.
func (p Policy) String() string { return policyNames[p] }

// ParsePolicy parses a policy, in any letter case.
func ParsePolicy(s string) (Policy, error) {
	if i := slices.Index(policyNames, strings.ToLower(s)); i >= 0 {
		return Policy(i), nil //nolint:gosec // an index of three
	}
	return 0, fmt.Errorf("slow-consumer must be disconnect, drop-newest or drop-oldest, not %q", s)
}

// Policy is that of this connection. Any goroutine may read it; the core sets it, and the sweeper reads it too.
func (o *Outbox) Policy() Policy { return Policy(o.policyValue.Load()) }

// SetPolicy changes the policy from the next message on. The core calls it.
func (o *Outbox) SetPolicy(p Policy) { o.policyValue.Store(int32(p)) }

package outbox

import (
	"fmt"
	"slices"
	"strings"
)

// Policy is what becomes of a subscriber, or of its messages, when more of them wait than its outbox may hold.
type Policy int32

// The policies.
const (
	Disconnect Policy = iota // the subscriber is evicted
	DropNewest               // what would be queued is not
	DropOldest               // what has waited longest makes room
)

var policyNames = []string{Disconnect: "disconnect", DropNewest: "drop-newest", DropOldest: "drop-oldest"}

// String is the policy as it is typed.
func (p Policy) String() string { return policyNames[p] }

// ParsePolicy reads a policy, in any letter case.
func ParsePolicy(s string) (Policy, error) {
	if i := slices.Index(policyNames, strings.ToLower(s)); i >= 0 {
		return Policy(i), nil //nolint:gosec // an index of three
	}
	return 0, fmt.Errorf("slow-consumer must be disconnect, drop-newest or drop-oldest, not %q", s)
}

// policy is the one in force for a connection. The core sets it; the sweeper reads it too.
func (o *Outbox) Policy() Policy { return Policy(o.policyValue.Load()) }

func (o *Outbox) SetPolicy(p Policy) { o.policyValue.Store(int32(p)) }

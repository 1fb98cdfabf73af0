package server

import (
	"fmt"
	"slices"
	"strings"

	"github.com/conchmq/conch/protocol"
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
func (o *outbox) policy() Policy { return Policy(o.policyValue.Load()) }

// slow is SLOW [policy], in both dialects.
func slow(w *response) {
	if args := w.inv.args[1:]; len(args) > 1 {
		w.buf = appendErr(w.buf, w.inv, protocol.Errorf("SLOW takes one policy; type: %s", w.inv.row.Usage))
		return
	} else if err := w.setPolicy(args); err != nil {
		w.buf = appendErr(w.buf, w.inv, err)
		return
	}
	w.buf = appendVerb(w.buf, w.inv, [][]byte{[]byte(w.conn.outbox.policy().String())})
}

// clientSlow is CLIENT SLOW [policy].
func clientSlow(w *response) {
	args := w.inv.args[2:]
	switch err := w.setPolicy(args); {
	case len(args) > 1:
		w.wrongSubcommandArity()
	case err != nil:
		w.fail(err)
	case len(args) == 0:
		w.text(w.conn.outbox.policy().String())
	default:
		w.ok()
	}
}

// setPolicy sets the policy if there is one to set.
func (w *response) setPolicy(args [][]byte) *protocol.Error {
	if len(args) != 1 {
		return nil
	}
	p, err := ParsePolicy(string(args[0]))
	if err != nil {
		return protocol.Errorf("%s", err)
	}
	w.conn.outbox.policyValue.Store(int32(p))
	return nil
}

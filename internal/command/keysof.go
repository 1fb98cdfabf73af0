package command

import (
	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/protocol"
)

// keys are the keys that the command uses, and what it does with them: rights are judged for
// these.
func (inv *invocation) keys() acl.Keys { return keysOf(inv.row, inv.args) }

// keysOf finds the keys among the arguments of a command.
func keysOf(row *protocol.CommandSpec, args [][]byte) acl.Keys {
	k := row.Keys
	if k == nil {
		return acl.Keys{}
	}
	return acl.Keys{Names: k.Find(args), Read: k.Reads, Write: k.Writes}
}

package command

import (
	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/protocol"
)

// keys are the keys that the command uses, and what it does with them: rights are judged for
// these.
func (inv *invocation) keys() acl.Keys {
	k := inv.row.Keys
	switch {
	case k == nil:
		return acl.Keys{}
	case k.Keyword == "":
		return keysOf(inv.row, inv.args)
	}
	x, _ := inv.xread()
	return acl.Keys{Names: x.Keys, Read: k.Reads, Write: k.Writes}
}

// keysOf finds the keys among the arguments of a command. Wrong arguments have none, as in
// Redis: the command itself fails.
func keysOf(row *protocol.CommandSpec, args [][]byte) acl.Keys {
	k := row.Keys
	if k == nil {
		return acl.Keys{}
	}
	keys := acl.Keys{Names: k.Find(args), Read: k.Reads, Write: k.Writes}
	if k.Options {
		var x keyargs.Read
		_ = x.Parse(args) // the same
		keys.Names = x.Keys()
	}
	if k.Keyword != "" {
		var x keyargs.XRead
		_ = x.Parse(args) // the keys are there, or they are not
		keys.Names = x.Keys
	}
	return keys
}

// parsedRead is an XREAD whose arguments have been parsed.
type parsedRead struct {
	keyargs.XRead
	err *protocol.Error
}

// xread parses the arguments of XREAD once: the keys that are read are those for which the rights
// were judged.
func (inv *invocation) xread() (*keyargs.XRead, *protocol.Error) {
	if inv.read == nil {
		inv.read = new(parsedRead)
		inv.read.err = inv.read.Parse(inv.args)
	}
	return &inv.read.XRead, inv.read.err
}

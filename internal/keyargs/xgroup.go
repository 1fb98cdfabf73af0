package keyargs

import (
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// XGroup is XGROUP CREATE and XGROUP SETID: the position of a group.
type XGroup struct {
	Key, Group []byte
	// AtEnd is `$`: all entries that there are count as read. ID is the position otherwise.
	AtEnd    bool
	ID       stream.ID
	MkStream bool
	// Read is ENTRIESREAD, -1 if it is not given.
	Read int64
	// WrongID is the error of the id. A missing key and a missing group precede it.
	WrongID *protocol.Error
}

// ParseCreate parses XGROUP CREATE.
func (x *XGroup) ParseCreate(args [][]byte) *protocol.Error { return x.parse(args, true) }

// ParseSetID parses XGROUP SETID.
func (x *XGroup) ParseSetID(args [][]byte) *protocol.Error {
	if err := x.parse(args, false); err != nil {
		return err
	}
	if text := args[4]; len(text) == 1 && (text[0] == '-' || text[0] == '+') { // here alone
		x.ID, x.WrongID = stream.MinID, nil
		if text[0] == '+' {
			x.ID = stream.MaxID
		}
	}
	return nil
}

func (x *XGroup) parse(args [][]byte, create bool) (err *protocol.Error) {
	*x = XGroup{Key: args[2], Group: args[3], Read: -1}
	for options := args[5:]; len(options) > 0; {
		switch {
		case create && is(options[0], "MKSTREAM"):
			x.MkStream, options = true, options[1:]
		case is(options[0], "ENTRIESREAD") && len(options) > 1:
			if x.Read, err = integer(options[1]); err != nil {
				return err
			}
			if x.Read < -1 {
				return errEntriesRead
			}
			options = options[2:]
		default:
			return protocol.ErrSubcommandSyntax("XGROUP", args[1])
		}
	}
	if text := args[4]; len(text) == 1 && text[0] == '$' {
		x.AtEnd = true
		return nil
	}
	x.ID, x.WrongID = parseID(args[4])
	return nil
}

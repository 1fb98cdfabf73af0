package keyargs

import (
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// XSetID is XSETID.
type XSetID struct {
	Key []byte
	stream.SetIDOptions
}

// Parse parses XSETID.
func (x *XSetID) Parse(args [][]byte) (err *protocol.Error) {
	*x = XSetID{Key: args[1]}
	x.EntriesAdded = -1
	if x.ID, err = parseID(args[2]); err != nil {
		return err
	}
	for args = args[3:]; len(args) > 0 && err == nil; args = args[2:] {
		switch {
		case len(args) < 2:
			return errSyntax
		case is(args[0], "ENTRIESADDED"):
			if x.EntriesAdded, err = integer(args[1]); err == nil && x.EntriesAdded < 0 {
				err = errAdded
			}
		case is(args[0], "MAXDELETEDID"):
			if x.MaxDeleted, err = parseID(args[1]); err == nil && x.ID.Less(x.MaxDeleted) {
				err = errDeletedID
			}
		default:
			return errSyntax
		}
	}
	return err
}

// XCfgSet is XCFGSET: 0 for what is not given.
type XCfgSet struct {
	Key               []byte
	Duration, MaxSize int
}

// Parse parses XCFGSET.
func (x *XCfgSet) Parse(args [][]byte) (err *protocol.Error) {
	*x = XCfgSet{Key: args[1]}
	if len(args) == 2 {
		return errNoParameter
	}
	for args = args[2:]; len(args) > 0 && err == nil; args = args[2:] {
		switch {
		case len(args) < 2:
			return errSyntax
		case is(args[0], "IDMP-DURATION"):
			x.Duration, err = within(args[1], stream.MaxDuration, errDuration)
		case is(args[0], "IDMP-MAXSIZE"):
			x.MaxSize, err = within(args[1], stream.MaxMaxSize, errIDMPMaxSize)
		default:
			return errSyntax
		}
	}
	return err
}

// within parses a whole number from 1 to most.
func within(arg []byte, most int64, otherwise *protocol.Error) (int, *protocol.Error) {
	n, err := integer(arg)
	if err == nil && (n < 1 || n > most) {
		err = otherwise
	}
	return int(n), err
}

// XInfoStream is XINFO STREAM.
type XInfoStream struct {
	Key  []byte
	Full bool
	// Count is the most entries that FULL shows, 0 for all.
	Count int64
}

// Parse parses XINFO STREAM, whose name has two words.
func (x *XInfoStream) Parse(args [][]byte) (err *protocol.Error) {
	*x = XInfoStream{Key: args[2], Count: 10}
	options := args[3:]
	if len(options) == 0 {
		return nil
	}
	if len(options) != 1 && len(options) != 3 || !is(options[0], "FULL") || len(options) == 3 && !is(options[1], "COUNT") {
		return protocol.ErrSubcommandSyntax("XINFO", args[1])
	}
	x.Full = true
	if len(options) == 3 {
		if x.Count, err = integer(options[2]); x.Count < 0 {
			x.Count = 10
		}
	}
	return err
}

package keyargs

import (
	"math"

	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// XAckDel is XACKDEL.
type XAckDel struct {
	Key, Group []byte
	Refs       stream.RefMode
	IDs        []stream.ID
}

// Parse parses XACKDEL: behind the group it is as XDELEX.
func (x *XAckDel) Parse(args [][]byte) *protocol.Error {
	var del XDelEx
	err := del.Parse(args[1:])
	*x = XAckDel{Key: args[1], Group: args[2], Refs: del.Refs, IDs: del.IDs}
	return err
}

// XNack is XNACK.
type XNack struct {
	Key, Group []byte
	IDs        []stream.ID
	stream.ReleaseOptions
}

// Parse parses XNACK. RETRYCOUNT and FORCE may stand in front of IDS, or behind the ids.
func (x *XNack) Parse(args [][]byte) *protocol.Error {
	*x = XNack{Key: args[1], Group: args[2]}
	switch mode := args[3]; {
	case is(mode, "SILENT"):
		x.Counting = stream.CountLess
	case is(mode, "FAIL"):
		x.Counting = stream.CountKeep
	case is(mode, "FATAL"):
		x.Counting, x.Count = stream.CountSet, stream.Fatal
	default:
		return errNackMode
	}
	var ids [][]byte
	for args = args[4:]; len(args) > 0; {
		n, err := x.option(args, &ids)
		if err != nil {
			return err
		}
		args = args[n:]
	}
	if ids == nil {
		return errNackKeyword
	}
	var err *protocol.Error
	x.IDs, err = IDs(make([]stream.ID, 0, len(ids)), ids)
	return err
}

// option parses the option at the start of args, and returns how many arguments it has.
func (x *XNack) option(args [][]byte, ids *[][]byte) (n int, _ *protocol.Error) {
	switch {
	case *ids == nil && is(args[0], "IDS"):
		if len(args) < 2 {
			return 0, errNackNumIDs
		}
		n, ok := protocol.ParseInt(args[1])
		switch {
		case !ok || n < 1:
			return 0, errNackNumIDs
		case n > int64(len(args)-2):
			return 0, errNackFewIDs
		case n > maxCounted:
			return 0, errManyIDs
		}
		*ids = args[2 : 2+n]
		return int(2 + n), nil
	case is(args[0], "RETRYCOUNT") && len(args) > 1:
		count, ok := protocol.ParseInt(args[1])
		if !ok || count < 0 {
			return 0, errNackCount
		}
		x.Counting, x.Count = stream.CountSet, min(uint64(count), math.MaxInt64)
		return 2, nil
	case is(args[0], "FORCE"):
		x.Force = true
		return 1, nil
	}
	return 0, protocol.Errorf("Unrecognized XNACK option '%s'", cString(args[0]))
}

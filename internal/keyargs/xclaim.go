package keyargs

import (
	"math"

	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// XClaim is XCLAIM.
type XClaim struct {
	IDs    []stream.ID
	JustID bool
	stream.ClaimOptions
}

// Parse parses XCLAIM behind the key, the group and the consumer. now is the time in milliseconds.
func (x *XClaim) Parse(args [][]byte, now int64) (err *protocol.Error) {
	*x = XClaim{}
	x.Time = now
	if x.MinIdle, err = integerOr(args[4], errClaimIdle); err != nil {
		return err
	}
	x.MinIdle = max(x.MinIdle, 0)
	args = args[5:]
	for len(args) > 0 {
		id, failed := stream.ParseID(args[0], 0)
		if failed != nil {
			break // an option
		}
		x.IDs, args = append(x.IDs, id), args[1:]
	}
	if len(x.IDs) > maxCounted {
		return errManyIDs
	}
	for len(args) > 0 {
		n, err := x.option(args, now)
		if err != nil {
			return err
		}
		args = args[n:]
	}
	if x.Time < 0 || x.Time > now {
		x.Time = now
	}
	if x.JustID && x.Counting != stream.CountSet {
		x.Counting = stream.CountKeep
	}
	return nil
}

// option parses the option at the start of args, and returns how many arguments it has.
func (x *XClaim) option(args [][]byte, now int64) (n int, err *protocol.Error) {
	switch more := len(args) > 1; {
	case is(args[0], "FORCE"):
		x.Force = true
		return 1, nil
	case is(args[0], "JUSTID"):
		x.JustID = true
		return 1, nil
	case is(args[0], "IDLE") && more:
		idle, err := integerOr(args[1], errClaimIdleOption)
		if x.Time = now - idle; idle < 0 {
			x.Time = now
		}
		return 2, err
	case is(args[0], "TIME") && more:
		x.Time, err = integerOr(args[1], errClaimTime)
		return 2, err
	case is(args[0], "RETRYCOUNT") && more:
		count, err := integerOr(args[1], errClaimCount)
		if count >= 0 {
			x.Counting, x.Count = stream.CountSet, uint64(count)
		}
		return 2, err
	case is(args[0], "LASTID") && more:
		x.Last, err = parseID(args[1])
		return 2, err
	}
	return 0, protocol.Errorf("Unrecognized XCLAIM option '%s'", cString(args[0]))
}

// integerOr parses a whole number, with an error of its own.
func integerOr(arg []byte, otherwise *protocol.Error) (int64, *protocol.Error) {
	if n, ok := protocol.ParseInt(arg); ok {
		return n, nil
	}
	return 0, otherwise
}

// XAutoClaim is XAUTOCLAIM.
type XAutoClaim struct {
	From   stream.ID
	Count  int
	JustID bool
	stream.ClaimOptions
}

// Parse parses XAUTOCLAIM behind the key, the group and the consumer. now is the time in milliseconds. A count beyond the bound
// claims as many as that: the reply says where to go on.
func (x *XAutoClaim) Parse(args [][]byte, now int64) (err *protocol.Error) {
	*x = XAutoClaim{Count: 100}
	x.Time = now
	if x.MinIdle, err = integerOr(args[4], errAutoClaimIdle); err != nil {
		return err
	}
	x.MinIdle = max(x.MinIdle, 0)
	var failed error
	if x.From, failed = stream.ParseRangeStart(args[5]); failed != nil {
		return streamError(failed)
	}
	for args = args[6:]; len(args) > 0; {
		switch {
		case is(args[0], "COUNT") && len(args) > 1:
			count, err := integerOr(args[1], errAutoClaimCount)
			if err != nil {
				return err
			}
			if count < 1 || count > math.MaxInt64/16 {
				return errAutoClaimCount
			}
			x.Count, args = int(min(count, maxCounted)), args[2:]
		case is(args[0], "JUSTID"):
			x.JustID, x.Counting, args = true, stream.CountKeep, args[1:]
		default:
			return errSyntax
		}
	}
	return nil
}

package keyargs

import (
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// XPending is XPENDING.
type XPending struct {
	Key, Group []byte
	// Lists: there is a range. Without one the command sums up.
	Lists    bool
	MinIdle  int64
	From, To stream.ID
	Count    int64
	Consumer []byte // nil for all
}

// Parse parses XPENDING.
func (x *XPending) Parse(args [][]byte) (err *protocol.Error) {
	*x = XPending{Key: args[1], Group: args[2]}
	switch n := len(args); {
	case n == 3:
		return nil
	case n < 6 || n > 9:
		return errSyntax
	}
	x.Lists, args = true, args[3:]
	if is(args[0], "IDLE") {
		if x.MinIdle, err = integer(args[1]); err != nil {
			return err
		}
		if args = args[2:]; len(args) < 3 {
			return errSyntax
		}
	}
	if x.Count, err = integer(args[2]); err != nil {
		return err
	}
	x.Count = max(x.Count, 0)
	var failed error
	if x.From, failed = stream.ParseRangeStart(args[0]); failed != nil {
		return streamError(failed)
	}
	if x.To, failed = stream.ParseRangeEnd(args[1]); failed != nil {
		return streamError(failed)
	}
	if len(args) > 3 {
		x.Consumer = args[3]
	}
	return nil
}

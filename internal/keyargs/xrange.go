package keyargs

import (
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// XRange is XRANGE or XREVRANGE.
type XRange struct {
	Key      []byte
	From, To stream.ID // both included; From is the lower one, if any id lies between them
	// Count is the most entries wanted, -1 for all. Redis replies to 0 with null.
	Count   int64
	Reverse bool
}

// Parse parses XRANGE, or with reverse XREVRANGE, whose ends stand the other way round.
func (x *XRange) Parse(args [][]byte, reverse bool) *protocol.Error {
	*x = XRange{Key: args[1], Count: -1, Reverse: reverse}
	from, to := args[2], args[3]
	if reverse {
		from, to = to, from
	}
	var failed error
	if x.From, failed = stream.ParseRangeStart(from); failed != nil {
		return streamError(failed)
	}
	if x.To, failed = stream.ParseRangeEnd(to); failed != nil {
		return streamError(failed)
	}
	for args = args[4:]; len(args) > 0; args = args[2:] {
		if !is(args[0], "COUNT") || len(args) < 2 {
			return errSyntax
		}
		var err *protocol.Error
		if x.Count, err = integer(args[1]); err != nil {
			return err
		}
		x.Count = max(x.Count, 0)
	}
	return nil
}

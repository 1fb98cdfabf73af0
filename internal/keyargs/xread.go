package keyargs

import (
	"math"

	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// XRead is XREAD, and XREADGROUP with Group. Rights are judged for exactly these keys: there is no second reading of the
// arguments.
type XRead struct {
	// Count is the most entries of each stream, MaxCount of all together, MaxSize the most bytes:
	// 0 for no limit.
	Count, MaxCount, MaxSize int64
	Blocks                   bool
	// Timeout is that of BLOCK, in milliseconds; 0 for no end.
	Timeout int64
	Keys    [][]byte
	After   []After // one for each key

	// Group and Consumer are those of XREADGROUP; nil for XREAD.
	Group, Consumer []byte
	NoAck           bool
	// Claims: entries that have been pending for MinIdle milliseconds come first.
	Claims  bool
	MinIdle int64
	// grouped: the command is XREADGROUP.
	grouped bool
}

// After is the entry behind which a stream is read.
type After struct {
	Kind AfterKind
	ID   stream.ID // of AfterID
	// Wrong is the error of an id of XREADGROUP: a missing group precedes it.
	Wrong *protocol.Error
}

// AfterKind is the form of an id in XREAD, one of three.
type AfterKind uint8

// The forms.
const (
	AfterID     AfterKind = iota // entries behind ID
	AfterLast                    // "$": entries that are added from now on
	LastEntry                    // "+": the last entry
	NewForGroup                  // ">": entries that the group has not read
)

// maxStreams bounds the streams of one XREAD: it is one instant, and every other connection
// waits.
const maxStreams = 10_000

// Parse parses XREAD and XREADGROUP.
func (x *XRead) Parse(args [][]byte) *protocol.Error {
	*x = XRead{grouped: is(args[0], "XREADGROUP")}
	streams, err := x.parseOptions(args[1:])
	switch {
	case err != nil:
		return err
	case len(streams) == 0:
		return errSyntax
	case x.grouped && x.Group == nil:
		return errMissingGroup
	case x.grouped && x.MaxSize != 0:
		return errGroupMaxSize
	case x.MaxCount != 0 && x.MaxCount < x.Count:
		return errMaxCount
	case len(streams) > 2*maxStreams:
		return errManyStreams
	}
	half := len(streams) / 2
	x.Keys, x.After = streams[:half], make([]After, half)
	for i, text := range streams[half:] {
		x.After[i], err = parseAfter(text, x.grouped)
		switch {
		case x.grouped:
			x.After[i].Wrong = err
		case err != nil:
			return err
		}
	}
	return nil
}

// parseOptions parses all in front of the keys, and returns the keys and ids; none without
// STREAMS.
func (x *XRead) parseOptions(args [][]byte) (streams [][]byte, err *protocol.Error) {
	for len(args) > 0 && err == nil {
		arg, value := args[0], []byte(nil)
		if len(args) > 1 {
			value = args[1]
		}
		switch {
		case is(arg, "STREAMS") && len(args) > 1:
			if len(args)%2 == 0 {
				return nil, x.unbalanced()
			}
			return args[1:], nil
		case is(arg, "NOACK") && x.grouped:
			x.NoAck, args = true, args[1:]
			continue
		case is(arg, "NOACK"):
			return nil, errNoAckOption
		case is(arg, "GROUP") && len(args) > 2 && x.grouped:
			x.Group, x.Consumer, args = args[1], args[2], args[3:]
			continue
		case is(arg, "GROUP") && len(args) > 2:
			return nil, errGroupOption
		case len(args) < 2:
			return nil, errSyntax
		case is(arg, "BLOCK"):
			x.Blocks = true
			x.Timeout, err = timeout(value)
		case is(arg, "COUNT"):
			if x.Count, err = integer(value); x.Count < 0 {
				x.Count = 0
			}
		case is(arg, "MAXCOUNT"):
			x.MaxCount, err = positive(value, errMaxCount)
		case is(arg, "MAXSIZE"):
			x.MaxSize, err = positive(value, errMaxSize)
		case is(arg, "CLAIM") && x.grouped:
			x.Claims = true
			if x.MinIdle, err = integerOr(value, errReadMinIdle); x.MinIdle < 0 {
				err = errReadMinIdleBelow
			}
		default:
			return nil, errSyntax
		}
		args = args[2:]
	}
	return nil, err
}

func (x *XRead) unbalanced() *protocol.Error {
	if x.grouped {
		return errGroupUnbalanced
	}
	return errUnbalanced
}

// maxTimeout leaves room for the clock, which is added to it.
const maxTimeout = math.MaxInt64 - 1<<42

// timeout parses a time-out in milliseconds.
func timeout(arg []byte) (int64, *protocol.Error) {
	n, ok := protocol.ParseInt(arg)
	switch {
	case !ok:
		return 0, errTimeout
	case n < 0:
		return 0, errTimeoutNegative
	case n > maxTimeout:
		return 0, errTimeoutTooLong
	}
	return n, nil
}

// positive parses a whole number above 0.
func positive(arg []byte, otherwise *protocol.Error) (int64, *protocol.Error) {
	n, ok := protocol.ParseInt(arg)
	switch {
	case !ok:
		return 0, errNotInteger
	case n < 1:
		return 0, otherwise
	}
	return n, nil
}

// parseAfter parses an id of XREAD or XREADGROUP.
func parseAfter(text []byte, grouped bool) (After, *protocol.Error) {
	switch {
	case len(text) != 1:
	case grouped:
		switch text[0] {
		case '$':
			return After{}, errEndForGroup
		case '>':
			return After{Kind: NewForGroup}, nil
		}
	default:
		switch text[0] {
		case '$':
			return After{Kind: AfterLast}, nil
		case '+':
			return After{Kind: LastEntry}, nil
		case '>':
			return After{}, errNewForGroup
		}
	}
	id, err := parseID(text)
	return After{ID: id}, err
}

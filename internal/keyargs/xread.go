package keyargs

import (
	"math"

	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// XRead is XREAD. Rights are judged for exactly these keys: there is no second reading of the
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
}

// After is the entry behind which a stream is read.
type After struct {
	Kind AfterKind
	ID   stream.ID // of AfterID
}

// AfterKind is the form of an id in XREAD, one of three.
type AfterKind uint8

// The forms.
const (
	AfterID   AfterKind = iota // entries behind ID
	AfterLast                  // "$": entries that are added from now on
	LastEntry                  // "+": the last entry
)

// maxStreams bounds the streams of one XREAD: it is one instant, and every other connection
// waits.
const maxStreams = 10_000

// Parse parses XREAD.
func (x *XRead) Parse(args [][]byte) *protocol.Error {
	*x = XRead{}
	streams, err := x.parseOptions(args[1:])
	switch {
	case err != nil:
		return err
	case len(streams) == 0:
		return errSyntax
	case x.MaxCount != 0 && x.MaxCount < x.Count:
		return errMaxCount
	case len(streams) > 2*maxStreams:
		return errManyStreams
	}
	half := len(streams) / 2
	x.Keys, x.After = streams[:half], make([]After, half)
	for i, text := range streams[half:] {
		if x.After[i], err = parseAfter(text); err != nil {
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
				return nil, errUnbalanced
			}
			return args[1:], nil
		case is(arg, "NOACK"):
			return nil, errNoAckOption
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
		default:
			return nil, errSyntax
		}
		args = args[2:]
	}
	return nil, err
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

// parseAfter parses an id of XREAD.
func parseAfter(text []byte) (After, *protocol.Error) {
	if len(text) == 1 {
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

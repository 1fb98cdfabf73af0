package keyargs

import (
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// CheckIDs returns the error that IDs would.
func CheckIDs(args [][]byte) *protocol.Error {
	for _, arg := range args {
		if _, err := parseID(arg); err != nil {
			return err
		}
	}
	return nil
}

// IDs parses ids, such as those of XDEL, and appends them to room. One that is none makes all of
// them fail.
func IDs(room []stream.ID, args [][]byte) ([]stream.ID, *protocol.Error) {
	for _, arg := range args {
		id, err := parseID(arg)
		if err != nil {
			return nil, err
		}
		room = append(room, id)
	}
	return room, nil
}

// XDelEx is XDELEX.
type XDelEx struct {
	Key  []byte
	Refs stream.RefMode
	IDs  []stream.ID
}

// Parse parses XDELEX. IDS may stand in front of the mode, or behind it.
func (x *XDelEx) Parse(args [][]byte) (err *protocol.Error) {
	*x = XDelEx{Key: args[1]}
	var ids [][]byte
	refsGiven := false
	for args = args[2:]; len(args) > 0; {
		switch {
		case ids == nil && is(args[0], "IDS") && len(args) > 1:
			if ids, err = counted(args[1:]); err != nil {
				return err
			}
			args = args[2+len(ids):]
		case !refsGiven && parseRefs(&x.Refs, args[0]):
			refsGiven = true
			args = args[1:]
		default:
			return errSyntax
		}
	}
	if ids == nil {
		return errSyntax
	}
	x.IDs, err = IDs(make([]stream.ID, 0, len(ids)), ids)
	return err
}

// maxCounted bounds the ids of XDELEX: it is one instant, and every other connection waits.
const maxCounted = 10_000

// counted returns the ids behind their number.
func counted(args [][]byte) ([][]byte, *protocol.Error) {
	n, ok := protocol.ParseInt(args[0])
	switch {
	case !ok || n < 1:
		return nil, errNumIDs
	case n > int64(len(args)-1):
		return nil, errFewIDs
	case n > maxCounted:
		return nil, errManyIDs
	}
	return args[1 : 1+n], nil
}

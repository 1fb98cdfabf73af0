package keyargs

import (
	"bytes"

	"github.com/conchmq/conch/protocol"
)

// Read is READ name [name ...] [FROM position | LAST count] [COUNT count] [WHERE expression].
type Read struct {
	Names [][]byte // of streams, and globs
	From  []byte   // what stands behind FROM; nil without it
	Last  int64    // 0 without LAST
	Count int64    // 0 without COUNT
	Where []byte   // the predicate; nil without one
}

const (
	// maxReadNames bounds the names of one READ: each entry is held against each glob.
	maxReadNames = 1024
	// maxReadLast bounds LAST, which keeps a number for each of the entries.
	maxReadLast = 10_000
)

// Parse parses READ. The first argument is a name, whatever it is; the others are up to the first option.
func (x *Read) Parse(args [][]byte) *protocol.Error {
	*x = Read{}
	n := 2 + countNames(args[2:])
	if x.Names = args[1:n]; len(x.Names) > maxReadNames {
		return errReadNames
	}
	for args = args[n:]; len(args) > 0; {
		option := args[0]
		switch {
		case len(args) < 2:
			return protocol.Errorf("%s needs a value behind it; type: %s", upper(option), readUsage)
		case is(option, "WHERE"):
			x.Where = bytes.Join(args[1:], []byte{' '})
			return nil
		}
		if err := x.parseOption(option, args[1]); err != nil {
			return err
		}
		args = args[2:]
	}
	return nil
}

func (x *Read) parseOption(option, value []byte) (err *protocol.Error) {
	isPlace := is(option, "FROM") || is(option, "LAST")
	switch {
	case isPlace && (x.From != nil || x.Last != 0), is(option, "COUNT") && x.Count != 0:
		return errReadTwice
	case is(option, "FROM") && is(value, "GROUP"):
		return errReadGroup
	case is(option, "FROM"):
		x.From = value
	case is(option, "LAST"):
		if x.Last, err = positive(value, errReadLast); err == nil && x.Last > maxReadLast {
			err = errReadLast
		}
	case is(option, "COUNT"):
		x.Count, err = positive(value, errReadCount)
	default:
		return protocol.Errorf("%s is no option of READ; type: %s", protocol.EscapeMessage(nil, upper(option)), readUsage)
	}
	return err
}

// countNames counts the arguments in front of the first option.
func countNames(args [][]byte) int {
	for i, arg := range args {
		if is(arg, "FROM") || is(arg, "LAST") || is(arg, "COUNT") || is(arg, "WHERE") {
			return i
		}
	}
	return len(args)
}

// upper is a word in upper case, cut to what an error shows.
func upper(word []byte) []byte { return bytes.ToUpper(word[:min(len(word), 32)]) }

// Keys returns the names that are no globs: the streams for which a right is needed. What a glob matches is read as far as there is one.
func (x *Read) Keys() (keys [][]byte) {
	for _, name := range x.Names {
		if !bytes.ContainsAny(name, `*?[\`) {
			keys = append(keys, name)
		}
	}
	return keys
}

const readUsage = "READ orders FROM 0 COUNT 100 WHERE price > 100"

var (
	errReadNames = protocol.Errorf("more than %d names in one READ; use a glob", maxReadNames)
	errReadGroup = protocol.Errorf("READ does not start at a group; type: %s", readUsage)
	errReadTwice = protocol.Errorf("an option of READ comes twice, and FROM or LAST once; type: %s", readUsage)
	errReadLast  = protocol.Errorf("LAST needs a number of entries behind it, up to %d; for more, use FROM", maxReadLast)
	errReadCount = protocol.Errorf("COUNT needs a number of entries behind it, from 1 on")
)

package keyargs

import (
	"strconv"
	"strings"

	"github.com/conchmq/conch/protocol"
)

// Scan is SCAN.
type Scan struct {
	Cursor uint64
	Match  []byte // a glob; nil for all
	Count  int64  // how many keys to look at
	Type   []byte // nil for all
}

// Parse parses SCAN.
func (x *Scan) Parse(args [][]byte) *protocol.Error {
	*x = Scan{Count: 10}
	var ok bool
	if x.Cursor, ok = cursor(string(args[1])); !ok {
		return errCursor
	}
	for args = args[2:]; len(args) > 0; args = args[2:] {
		if len(args) < 2 {
			return errSyntax
		}
		switch {
		case is(args[0], "MATCH"):
			x.Match = args[1]
		case is(args[0], "TYPE"):
			x.Type = args[1]
		case is(args[0], "COUNT"):
			var err *protocol.Error
			if x.Count, err = integer(args[1]); err != nil {
				return err
			}
			if x.Count < 1 {
				return errSyntax
			}
		default:
			return errSyntax
		}
	}
	return nil
}

// cursor accepts what Redis parses with strtoul of C: no sign, or one of either kind. The empty
// string is 0.
func cursor(s string) (uint64, bool) {
	digits := strings.TrimPrefix(s, "-")
	negative := digits != s
	if !negative {
		digits = strings.TrimPrefix(s, "+")
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if negative {
		n = -n
	}
	return n, s == "" || err == nil
}

// Flush checks the arguments of FLUSHALL and FLUSHDB. Both words mean the same here: what is
// deleted is freed in the background.
func Flush(args [][]byte) *protocol.Error {
	if len(args) > 2 || len(args) == 2 && !is(args[1], "ASYNC") && !is(args[1], "SYNC") {
		return errSyntax
	}
	return nil
}

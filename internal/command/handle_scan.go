package command

import (
	"strconv"
	"strings"

	"github.com/conchmq/conch/protocol"
)

// scan is SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]. There are no keys: tools that
// list them show an empty database instead of an error.
//
// Wrong arguments get Redis' errors all the same.
func scan(w *response) {
	args := w.inv.args[1:]
	if !isCursor(string(args[0])) {
		w.fail(protocol.Errorf("invalid cursor"))
		return
	}
	for args = args[1:]; len(args) > 0; args = args[2:] {
		if err := checkScanOption(args); err != nil {
			w.fail(err)
			return
		}
	}
	w.array(2)
	w.text("0")
	w.array(0)
}

// isCursor accepts what Redis parses with strtoul: no sign, or one of either kind. The empty
// string is 0.
func isCursor(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == s {
		digits = strings.TrimPrefix(s, "+")
	}
	_, err := strconv.ParseUint(digits, 10, 64)
	return s == "" || err == nil
}

// checkScanOption checks one option and its value.
func checkScanOption(args [][]byte) *protocol.Error {
	name := strings.ToUpper(string(args[0]))
	if len(args) < 2 || name != "MATCH" && name != "COUNT" && name != "TYPE" {
		return protocol.Errorf("syntax error")
	}
	if name != "COUNT" {
		return nil
	}
	switch count, ok := protocol.ParseInt(args[1]); {
	case !ok:
		return protocol.Errorf("value is not an integer or out of range")
	case count < 1:
		return protocol.Errorf("syntax error")
	}
	return nil
}

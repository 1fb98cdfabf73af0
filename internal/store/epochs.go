package store

import (
	"fmt"
	"strconv"

	"github.com/conchmq/conch/internal/log"
)

// epochName is the text of an epoch, as it stands in positions.
func epochName(id uint64) string { return fmt.Sprintf("%016x", id) }

// resolve returns the number in the last of the epochs that a position of an earlier one has: the same, because the sequence of
// a directory goes on. It is known only if every epoch from there on ended cleanly: of any other, messages may have come behind
// the last number that was logged.
func resolve(epochs []log.Epoch, name string, number uint64) (same uint64, ok bool) {
	id, err := strconv.ParseUint(name, 16, 64)
	if err != nil {
		return 0, false
	}
	for i := len(epochs) - 2; i >= 0; i-- { // the last one is that of this start
		switch e := &epochs[i]; {
		case !e.Clean:
			return 0, false
		case e.ID == id:
			return number, number <= e.Last+1
		}
	}
	return 0, false
}

// positionOf returns the number in the last of the epochs that a position of any of them has in the log. What was not logged is not there: a
// position behind the last number of an epoch is the beginning of the next one.
func positionOf(epochs []log.Epoch, name string, number uint64) (same uint64, ok bool) {
	id, err := strconv.ParseUint(name, 16, 64)
	if err != nil {
		return 0, false
	}
	for i := len(epochs) - 1; i >= 0; i-- {
		switch e := &epochs[i]; {
		case e.ID != id:
		case i == len(epochs)-1:
			return number, true
		default:
			return min(number, e.Last+1), true
		}
	}
	return 0, false
}

// maxEarlier is how many earlier epochs are shown: each costs each client that asks 22 bytes.
const maxEarlier = 16

// earlier returns the epochs before the last whose positions resolve, the newest first.
func earlier(epochs []log.Epoch) (names []string) {
	for i := len(epochs) - 2; i >= 0 && epochs[i].Clean && len(names) < maxEarlier; i-- {
		names = append(names, epochName(epochs[i].ID))
	}
	return names
}

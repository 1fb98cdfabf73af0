package store

import (
	"slices"

	"github.com/conchmq/conch/internal/log"
)

// maxOpenings is how often a directory with damage is opened again, because a conch that runs there may have been about to write that place.
const maxOpenings = 5

// OpenReadOnly opens the store in a directory to read what is there at one instant: of a conch that runs, all up to its last sync, and perhaps
// more. It writes nothing, and takes no lock. Close ends it.
func OpenReadOnly(o Options) (*Store, error) {
	o.ReadOnly = true
	s, err := Open(o)
	for i := 1; i < maxOpenings && err == nil && len(s.recovery.Damages) > 0; i++ {
		before := s
		if s, err = Open(o); err != nil {
			_ = before.Close(0)
			break
		}
		isSame := slices.Equal(before.recovery.Damages, s.recovery.Damages)
		if closing := before.Close(0); closing != nil || isSame {
			err = closing
			break
		}
	}
	return s, err
}

// Fault is a place of a file at which something is wrong.
type Fault = log.Fault

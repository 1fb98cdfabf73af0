// Package testseed gives tests of random load the seed that they begin with.
package testseed

import (
	"math/rand/v2"
	"os"
	"strconv"
)

// New returns the number in CONCH_SEED; without one, any. In CI there is one, so that the same change passes twice; other runs
// look for new ones. It panics if the variable is no number.
func New() uint64 {
	text, ok := os.LookupEnv("CONCH_SEED")
	if !ok {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		panic("CONCH_SEED must be a number: " + err.Error())
	}
	return seed
}

package cputime

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWorkTakesTime(t *testing.T) {
	user, system := Used()
	before := user + system
	for x, rounds := uint64(1), 0; ; rounds++ {
		for range 1_000_000 {
			x = x*6364136223846793005 + 1
		}
		if user, system = Used(); user+system > before {
			break
		}
		if rounds == 10_000 {
			assert.Fail(t, "no time was used", x)
			break
		}
	}
}

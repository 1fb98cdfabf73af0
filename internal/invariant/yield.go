package invariant

import (
	"math/rand/v2"
	"runtime"
)

// Yield lets other goroutines run at a place where that must do no harm. It does so at random, for some time now and then.
func Yield() {
	if !On {
		return
	}
	n := rand.IntN(4) //nolint:gosec // no secret
	if n == 3 {
		n = 50
	}
	for range n {
		runtime.Gosched()
	}
}

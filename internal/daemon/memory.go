package daemon

import (
	"os"
	"runtime/debug"
)

// collect sets GOGC, which the server lowers near max-memory. An operator that sets GOGC or GOMEMLIMIT keeps that.
func collect(percent int) {
	_, limit := os.LookupEnv("GOMEMLIMIT")
	if _, rate := os.LookupEnv("GOGC"); !limit && !rate {
		debug.SetGCPercent(percent)
	}
}

package daemon

import (
	"os"
	"runtime/debug"
)

// collect has the runtime collect more eagerly as the cap comes near. An operator that sets GOGC or GOMEMLIMIT has decided.
func collect(percent int) {
	_, limit := os.LookupEnv("GOMEMLIMIT")
	if _, rate := os.LookupEnv("GOGC"); !limit && !rate {
		debug.SetGCPercent(percent)
	}
}

package web

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"
)

// maxProfile bounds the seconds of a profile.
const maxProfile = 300

// getProfile is GET /debug/pprof/{profile}, for go tool pprof: what the process does, and parts of its memory.
//
// CONFIG GET checks the right, which operators have. The command line is left out, since a password may stand there.
func (x *exchange) getProfile() error {
	if !x.server.options.Debug {
		return &problem{Status: http.StatusNotFound, Detail: "there are no profiles: start conch with --debug"}
	}
	if err := x.checkRight("CONFIG", "GET", "debug"); err != nil {
		return err
	}
	seconds := 0
	if text := x.request.FormValue("seconds"); text != "" {
		var err error
		if seconds, err = strconv.Atoi(text); err != nil || seconds < 1 || seconds > maxProfile {
			return &problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("seconds are 1 to %d", maxProfile)}
		}
	}
	serve := pprof.Index // all others, by the end of the path
	switch x.params["profile"] {
	case "profile":
		serve, seconds = pprof.Profile, max(seconds, 30)
	case "trace":
		serve = pprof.Trace
	case "symbol":
		serve = pprof.Symbol
	case "cmdline":
		return &problem{Status: http.StatusForbidden, Detail: "the command line may have a password"}
	}
	x.begun = true
	period := time.Duration(seconds)*time.Second + x.server.service.Options().SlowTime
	_ = x.control.SetWriteDeadline(time.Now().Add(period)) // on failure the write fails too
	serve(x.writer, x.request)
	return nil
}

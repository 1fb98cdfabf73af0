package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wall lists the files of the server that read the wall clock, and why. All other code uses uptime, or deadlines, which
// the runtime measures monotonically: setting the machine's clock must not close a connection, keep one open, or delay
// anything.
var wall = map[string]string{
	"auth.go": "tokens end at a time that people know; ACL LOG says when",

	"handle_acl.go":    "ACL LOG says how long ago",
	"handle_server.go": "TIME",
	"handle_token.go":  "tokens end at a time that people know",
	"monitor.go":       "MONITOR says when",
	"recheck.go":       "tokens end at a time that people know",
	"service.go":       "INFO says since when, as a difference",
	"why.go":           "WHY says how long ago rights refused something, as ACL LOG does",
}

var wallClock = regexp.MustCompile(`\btime\.Now\(\)`)

func TestOnlyPeopleAreToldTheTime(t *testing.T) {
	for _, dir := range []string{"server", "internal/command", "internal/outbox"} {
		files, err := filepath.Glob("../../" + dir + "/*.go")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			checkClock(t, file)
		}
	}
}

func checkClock(t *testing.T, file string) {
	t.Helper()
	name := filepath.Base(file)
	if strings.HasSuffix(name, "_test.go") || wall[name] != "" {
		return
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if wallClock.MatchString(line) {
			assert.Contains(t, line, "time.Now().Add(", "%s: count by uptime", name)
		}
	}
}

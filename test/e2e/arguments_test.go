//go:build e2e

package e2e

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The parsers of package keyargs are tested with texts of Redis: a real server gives the same ones.
func TestRedisRepliesSo(t *testing.T) {
	file, err := os.ReadFile("../../internal/keyargs/testdata/redis-7.0.txt")
	require.NoError(t, err)
	redis := startRedis(t).control
	for line := range strings.Lines(string(file)) {
		if line = strings.TrimSuffix(line, "\n"); line == "" || line[0] == '#' {
			continue
		}
		parts := strings.Split(line, "\t")
		var args []string
		for _, word := range strings.Fields(parts[0]) {
			arg, err := strconv.Unquote(`"` + strings.Trim(word, `"`) + `"`)
			require.NoError(t, err, line)
			args = append(args, arg)
		}
		redis.ask("FLUSHALL")
		redis.ask("XADD", "s", "5-5", "a", "b")
		got := "fine"
		if reply := redis.ask(args...); reply[0] == '-' {
			got = strings.TrimSpace(reply[1:])
		}
		assert.Equal(t, parts[1], got, parts[0])
	}
}

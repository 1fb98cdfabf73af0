package bench

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadUsage(t *testing.T) {
	u := readUsage(os.Getpid())
	require.NoError(t, u.err)
	assert.Positive(t, u.rss)
	assert.GreaterOrEqual(t, u.peak, u.rss)
	for end := u.cpu + 3*tick; u.cpu < end; { // it counts what this loop costs
		u = readUsage(os.Getpid())
	}

	assert.Equal(t, usage{}, readUsage(0))
	assert.EqualError(t, readUsage(1<<30).err, "there is no process 1073741824 on this machine")
}

// The name of a program may contain any character.
func TestParseStat(t *testing.T) {
	for name, stat := range map[string]string{
		"plain":  "42 (conch) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 5 0 100",
		"spaces": "42 (a b) c) 1 2 (3) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 5 0 100",
	} {
		cpu, err := parseStat([]byte(stat))
		assert.NoError(t, err, name)
		assert.Equal(t, 2*time.Second, cpu, name)
	}
	for _, stat := range []string{"", "42 (conch) S 1", "42 (conch) S 1 42 42 0 -1 4194560 1 2 3 4 x 50"} {
		_, err := parseStat([]byte(stat))
		assert.Error(t, err, stat)
	}
	assert.EqualValues(t, 12<<10, parseStatus([]byte("Name:\tx\nVmHWM:\t    99 kB\nVmRSS:\t      12 kB\n"), "VmRSS:"))
	assert.Zero(t, parseStatus([]byte("Name:\tx\n"), "VmRSS:"))
}

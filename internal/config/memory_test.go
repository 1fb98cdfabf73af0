package config

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMachineMemory(t *testing.T) {
	for _, test := range []struct {
		sentence string
		files    map[string]string
		want     int64
	}{
		{"what the machine has", map[string]string{"/proc/meminfo": "MemTotal:  1024 kB\nMemFree: 1 kB\n"}, 1 << 20},
		{"what its control group may have", map[string]string{
			"/proc/meminfo": "MemTotal: 1024 kB\n", "/sys/fs/cgroup/memory.max": "4096\n",
		}, 4096},
		{"a control group without a limit", map[string]string{
			"/proc/meminfo": "MemTotal: 1024 kB\n", "/sys/fs/cgroup/memory.max": "max\n",
		}, 1 << 20},
		{"the older sort of group", map[string]string{
			"/proc/meminfo": "MemTotal: 1024 kB\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "2048\n",
		}, 2048},
		{"nobody knows", nil, 0},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			got := machineMemory(func(name string) ([]byte, error) {
				text, ok := test.files[name]
				if !ok {
					return nil, os.ErrNotExist
				}
				return []byte(text), nil
			})
			assert.Equal(t, test.want, got)
		})
	}
}

// HTTP alone makes conch keep messages, unless recent is given.
func TestRecentFollowsHTTP(t *testing.T) {
	for _, test := range []struct {
		flags string
		want  int
	}{
		{"", 0},
		{"--http=:1", 64 << 20},
		{"--https=:1 --tls-cert=x --tls-key=x", 64 << 20},
		{"--recent=auto --http=:1", 64 << 20},
		{"--recent=AUTO", 0},
		{"--recent=none --http=:1", 0},
		{"--recent=1MiB --http=:1", 1 << 20},
		{"--recent=1MiB", 1 << 20},
		{"--http=:1 --max-memory=64MiB", 16 << 20},
	} {
		t.Run(test.flags, func(t *testing.T) {
			c, err := Load(line(append(strings.Fields(test.flags), "--log-level=info")...), nothing)
			require.NoError(t, err)
			assert.Equal(t, test.want, c.Server.Recent)
		})
	}
	assert.EqualError(t, setRecent(&Config{}, "some"), `expected a size such as 65536, 64KiB or 16MiB, not "some", or none, or auto`)
}

func TestStreamMemoryFollowsMaxMemory(t *testing.T) {
	c, err := Load(line("--max-memory=64MiB"), nothing)
	require.NoError(t, err)
	assert.EqualValues(t, 16<<20, c.Store.Memory)
	c, err = Load(line("--max-memory=64MiB", "--stream-memory=1GiB"), nothing)
	require.NoError(t, err)
	assert.EqualValues(t, 1<<30, c.Store.Memory, "with a directory it is memory beside that of clients")
}

func TestSettingsOfStreamsThatDoNotGoTogether(t *testing.T) {
	_, err := Load(line("--fsync=always"), nothing)
	assert.EqualError(t, err, "fsync has no effect without dir: streams are in memory, and gone at the end; name a directory by --dir")
	_, err = Load(line("--dir=x", "--fsync=2h"), nothing)
	assert.EqualError(t, err, `flag --fsync: expected always, no, or a time such as 1s, from 1ms to 1h, not "2h"`)
	_, err = Load(line("--segment-size=1k"), nothing)
	assert.EqualError(t, err, "segment-size is 1024 bytes: expected 65536 to 1073741824")
}

func TestMaxMemory(t *testing.T) {
	var s Config
	require.NoError(t, setMaxMemory(&s, "64MiB"))
	assert.EqualValues(t, 64<<20, s.Server.MaxMemory)
	require.NoError(t, setMaxMemory(&s, "AUTO"))
	assert.Equal(t, machineMemory(os.ReadFile)/2, s.Server.MaxMemory)
	assert.ErrorContains(t, setMaxMemory(&s, "much"), "or auto")
}
